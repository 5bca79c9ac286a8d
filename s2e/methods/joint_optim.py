"""Joint optimisation of weights and labels (Tanaka et al. 2018).

Legend: K trials, N networks per trial, B batch, C classes, S samples, W window.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from s2e.methods.base import Setup, pick, put
from s2e.methods.declared import semi
from s2e.methods.engine import Engine, MiniBatch, State
from s2e.methods.plain import Standard
from s2e.methods.targets import class_balance, entropy, soft_cross_entropy


class JointOptim(Standard):
    """CE with soft labels + alpha KL(uniform || mean p) + beta H(p); a soft label is the mean of the sample's last
    outputs. Then the networks start anew on the final soft labels with cross entropy alone.

    A sample that an epoch leaves out (the incomplete batch) keeps the output of an earlier one. The paper's two steps
    have step sizes of their own: ``train.lr_schedule = "stages"``, as the protocol ``joint-optim`` does.
    """

    params: semi.JointOptim

    def init_state(self, setup: Setup) -> State:
        onehot_KSC = F.one_hot(setup.label_KS, setup.n_classes).to(setup.dtype)
        outputs_KWSC = onehot_KSC[:, None].repeat(1, self.params.window, 1, 1)
        return {"soft_KSC": onehot_KSC, "outputs_KWSC": outputs_KWSC}

    def begin_epoch(self, engine: Engine, t: int) -> None:
        state = engine.method_state
        if self.params.label_start <= t <= self.params.retrain_start:
            state["soft_KSC"] = state["outputs_KWSC"].mean(1)
        if t == self.params.retrain_start:
            engine.reset_networks()

    def step(self, engine: Engine, batch: MiniBatch) -> tuple[torch.Tensor, torch.Tensor]:
        logits_KNBC = engine.forward(engine.images(batch.index))
        engine.remember(batch.index, logits_KNBC)
        target_KNBC = pick(engine.method_state["soft_KSC"], batch.index)[:, None]
        loss_KN, weight_KNB = self.weigh(engine, batch, logits_KNBC, soft_cross_entropy(logits_KNBC, target_KNBC))
        if engine.t >= self.params.retrain_start:
            return loss_KN, weight_KNB
        slot = engine.t % self.params.window
        p_KBC = logits_KNBC.detach()[:, 0].softmax(-1)
        put(engine.method_state["outputs_KWSC"][:, slot], batch.index, p_KBC)
        pull_KN = self.params.balance * class_balance(logits_KNBC) + self.params.entropy * entropy(logits_KNBC).mean(-1)
        return loss_KN + pull_KN, weight_KNB
