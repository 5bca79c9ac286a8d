"""PENCIL: label distributions learnt with the weights (Yi & Wu 2019).

Legend: K trials, N networks per trial, B batch, C classes, S samples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from s2e.methods.base import Setup, cross_entropy, pick, put
from s2e.methods.declared import semi
from s2e.methods.engine import Engine, MiniBatch, State
from s2e.methods.plain import Standard
from s2e.methods.targets import entropy


class Pencil(Standard):
    """Cross entropy; then KL(p || y) / C + alpha CE(y, label) + beta H(p) / C, y = softmax(y~) descending with the
    weights; then KL(p || y) / C alone, y fixed.

    The paper also changes the step size between the stages: ``train.lr_schedule = "stages"``, as the protocol of this
    name does.
    """

    params: semi.Pencil

    def init_state(self, setup: Setup) -> State:
        onehot_KSC = F.one_hot(setup.label_KS, setup.n_classes).to(setup.dtype)
        return {"label_logits_KSC": self.params.label_scale * onehot_KSC}

    def step(self, engine: Engine, batch: MiniBatch) -> tuple[torch.Tensor, torch.Tensor]:
        logits_KNBC = engine.forward(engine.images(batch.index))
        engine.remember(batch.index, logits_KNBC)
        if engine.t < self.params.label_start:
            return self.weigh(engine, batch, logits_KNBC, cross_entropy(logits_KNBC, batch.label_KB))
        table_KSC, n_classes = engine.method_state["label_logits_KSC"], logits_KNBC.shape[-1]
        label_logits_KBC = pick(table_KSC, batch.index)
        log_p_KNBC = logits_KNBC.log_softmax(-1)
        log_y_K1BC = label_logits_KBC.log_softmax(-1)[:, None]
        # L = KL(p || y) / C = 1/C sum_c p_c ln(p_c / y_c)
        loss_KNB = (log_p_KNBC.exp() * (log_p_KNBC - log_y_K1BC)).sum(-1) / n_classes
        if engine.t < self.params.label_end:
            compatibility_KB, gradient_KBC = self._compatibility(label_logits_KBC, batch.label_KB)
            # L + beta H(p) / C + alpha CE(y, label)
            loss_KNB = loss_KNB + self.params.entropy * entropy(logits_KNBC) / n_classes
            loss_KNB = loss_KNB + self.params.compatibility * compatibility_KB[:, None]
            # y = softmax(y~), so d KL(p || y) / d y~_c = y_c - p_c, p held
            fit_KBC = (log_y_K1BC.exp() - log_p_KNBC.detach().exp())[:, 0] / n_classes
            # dL / dy~ = (y - p) / C + alpha dCE / dy~, of the mean over B samples; y~ <- y~ - lambda dL / dy~
            slope_KBC = (fit_KBC + self.params.compatibility * gradient_KBC) / label_logits_KBC.shape[1]
            put(table_KSC, batch.index, label_logits_KBC - self.params.label_step * slope_KBC)
        return self.weigh(engine, batch, logits_KNBC, loss_KNB)

    def _compatibility(
        self, label_logits_KBC: torch.Tensor, label_KB: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """CE of the label distribution with the given label [K, B], and its gradient by y~ [K, B, C]."""
        y_KBC = label_logits_KBC.softmax(-1)
        onehot_KBC = F.one_hot(label_KB, y_KBC.shape[-1]).to(y_KBC.dtype)
        if not self.params.official_double_softmax:  # CE = -ln y_label, dCE / dy~_c = y_c - [c = label]
            return -(onehot_KBC * label_logits_KBC.log_softmax(-1)).sum(-1), y_KBC - onehot_KBC
        # z = softmax(y): CE = -ln z_label, s_c = dCE / dy_c = z_c - [c = label], and through y = softmax(y~)
        # dCE / dy~_c = y_c (s_c - sum_j y_j s_j)
        slope_KBC = y_KBC.softmax(-1) - onehot_KBC
        through_KBC = y_KBC * (slope_KBC - (y_KBC * slope_KBC).sum(-1, keepdim=True))
        return -(onehot_KBC * y_KBC.log_softmax(-1)).sum(-1), through_KBC
