"""M-correction: mixup guided by a Beta mixture of the losses (Arazo et al. 2019).

Legend: K trials, N networks per trial, B batch, C classes, S samples, R cells of the mixture's table.

One look at the batch before it is mixed, in evaluation mode, gives both the losses that the mixture judges and the
predictions that stand in for noisy labels; the official program looks twice, in evaluation and in training mode.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Setup, cross_entropy
from s2e.methods.declared import semi
from s2e.methods.engine import Engine, MiniBatch, State
from s2e.methods.mixing import Mixing, draw_mixing, mixing_of
from s2e.methods.mixtures import LOOKUP_CELLS, BetaMixture, fit_two_betas
from s2e.methods.mixup import Mixup
from s2e.methods.targets import class_balance, soft_cross_entropy

HARD_TEMPERATURE = 0.001


class MDyrH(Mixup):
    """Mixup; then each of the two labels of a mixture counts 1 - P(noisy), and the class predicted for its sample
    P(noisy), + KL(uniform || mean prediction)."""

    params: semi.MDyrH

    def init_state(self, setup: Setup) -> State:
        table_KR = torch.zeros(setup.n_trials, LOOKUP_CELLS, dtype=torch.float64, device=setup.device)
        limit_K = torch.zeros(setup.n_trials, dtype=torch.float64, device=setup.device)
        return {"noisy_KR": table_KR, "low_K": limit_K, "high_K": limit_K.clone()}

    def begin_epoch(self, engine: Engine, t: int) -> None:
        draw_mixing(engine, self.params.alpha)
        if t >= self.params.guided_start:
            mixture = fit_two_betas(cross_entropy(engine.train_logits(), engine.label_KS)[:, 0])
            fitted = {"noisy_KR": mixture.noisy_LR, "low_K": mixture.low_L, "high_K": mixture.high_L}
            engine.method_state.update(fitted)

    def step(self, engine: Engine, batch: MiniBatch) -> tuple[torch.Tensor, torch.Tensor]:
        if engine.t < self.params.guided_start:
            return super().step(engine, batch)
        mixing = mixing_of(engine, batch)
        x = engine.images(batch.index)
        seen_KNBC, noisy_KB = self.look(engine, batch, x)
        logits_KNBC = engine.forward(mixing.images(x, batch.index))
        predicted_KB = seen_KNBC[:, 0].argmax(-1)
        own_KNB = self.bootstrapped(logits_KNBC, batch.label_KB, predicted_KB, noisy_KB)
        other = (mixing.partners(value) for value in (batch.label_KB, predicted_KB, noisy_KB))
        # w l(x_mixed; y_i, z_i, B_i) + (1 - w) l(x_mixed; y_j, z_j, B_j), x_mixed = w x_i + (1 - w) x_j:
        # label y, predicted class z, B = P(noisy), l = (1 - B) CE(y) + B CE(z)
        weight_K11 = mixing.weight_K[:, None, None]
        loss_KNB = weight_K11 * own_KNB + (1 - weight_K11) * self.bootstrapped(logits_KNBC, *other)
        return self.balanced(engine, batch, logits_KNBC, loss_KNB)

    @torch.no_grad()
    def look(self, engine: Engine, batch: MiniBatch, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the batch before it is mixed, and each sample's P(noisy) [K, B]."""
        seen_KNBC = engine.forward(x, train=False)
        engine.remember(batch.index, seen_KNBC)
        state = engine.method_state
        mixture = BetaMixture(state["noisy_KR"], state["low_K"], state["high_K"])
        noisy_KB = mixture.noisy_posterior(cross_entropy(seen_KNBC, batch.label_KB)[:, 0])
        return seen_KNBC, noisy_KB.to(seen_KNBC.dtype)

    @staticmethod
    def bootstrapped(
        logits_KNBC: torch.Tensor, label_KB: torch.Tensor, predicted_KB: torch.Tensor, noisy_KB: torch.Tensor
    ) -> torch.Tensor:
        """(1 - P(noisy)) CE(label) + P(noisy) CE(predicted class) -> loss_KNB."""
        noisy_KNB = noisy_KB[:, None]
        given_KNB, own_KNB = (cross_entropy(logits_KNBC, classes) for classes in (label_KB, predicted_KB))
        return (1 - noisy_KNB) * given_KNB + noisy_KNB * own_KNB

    def balanced(
        self, engine: Engine, batch: MiniBatch, logits_KNBC: torch.Tensor, loss_KNB: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean loss + the weighted KL(uniform || mean prediction), and the weights."""
        loss_KN, weight_KNB = self.weigh(engine, batch, logits_KNBC, loss_KNB)
        return loss_KN + self.params.balance * class_balance(logits_KNBC), weight_KNB


class MdDyrSh(MDyrH):
    """Mixup; then samples mixed in proportion to 1 - P(noisy); then also predictions in place of noisy labels, softened
    by a temperature that falls from 1 to 0.001.

    Between the two, the mixed labels count by a Beta(32, 32) that has nothing to do with how the inputs are mixed, as
    in the official program; from then on they count alike.
    """

    params: semi.MdDyrSh

    def step(self, engine: Engine, batch: MiniBatch) -> tuple[torch.Tensor, torch.Tensor]:
        if engine.t < self.params.guided_start:
            return super().step(engine, batch)
        mixing = mixing_of(engine, batch)
        x = engine.images(batch.index)
        seen_KNBC, noisy_KB = self.look(engine, batch, x)
        logits_KNBC = engine.forward(guided_images(x, batch.index, mixing, noisy_KB))
        if engine.t < self.params.bootstrap_start:
            return self._label_loss(engine, batch, logits_KNBC, mixing)
        # z = softmax(logits / T), T falling; [l(y_i, z_i, B_i) + l(y_j, z_j, B_j)] / 2, l = (1 - B) CE(y) + B CE(z)
        target_KBC = (seen_KNBC[:, 0] / self.temperature(engine.t)).softmax(-1)
        own_KNB = self._softened(logits_KNBC, batch.label_KB, target_KBC, noisy_KB)
        other = (mixing.partners(value) for value in (batch.label_KB, target_KBC, noisy_KB))
        loss_KNB = (own_KNB + self._softened(logits_KNBC, *other)) / 2
        return self.balanced(engine, batch, logits_KNBC, loss_KNB)

    def temperature(self, t: int) -> float:
        """1 at the first bootstrapped epoch, then even steps down to 0.001."""
        done = min(1.0, (t - self.params.bootstrap_start) / (self.params.temperature_epochs - 1))
        return 1 + done * (HARD_TEMPERATURE - 1)

    def _label_loss(
        self, engine: Engine, batch: MiniBatch, logits_KNBC: torch.Tensor, mixing: Mixing
    ) -> tuple[torch.Tensor, torch.Tensor]:
        weight_K11 = mixing.weight_K[:, None, None]
        own_KNB = cross_entropy(logits_KNBC, batch.label_KB)
        other_KNB = cross_entropy(logits_KNBC, mixing.partners(batch.label_KB))
        return self.weigh(engine, batch, logits_KNBC, weight_K11 * own_KNB + (1 - weight_K11) * other_KNB)

    @staticmethod
    def _softened(
        logits_KNBC: torch.Tensor, label_KB: torch.Tensor, target_KBC: torch.Tensor, noisy_KB: torch.Tensor
    ) -> torch.Tensor:
        noisy_KNB = noisy_KB[:, None]
        given_KNB = cross_entropy(logits_KNBC, label_KB)
        return (1 - noisy_KNB) * given_KNB + noisy_KNB * soft_cross_entropy(logits_KNBC, target_KBC[:, None])


def guided_images(x: torch.Tensor, index: torch.Tensor, mixing: Mixing, noisy_KB: torch.Tensor) -> torch.Tensor:
    """Each sample mixed with its partner in proportion to 1 - P(noisy) -> [K, B, ...], each trial in its own way."""
    # x = d x_i + (1 - d) x_j, d = (1 - B_i) / ((1 - B_i) + (1 - B_j)), B = P(noisy), j the partner of i
    clean_KB = 1 - noisy_KB
    own_KB = clean_KB / (clean_KB + mixing.partners(clean_KB))
    x_KB = x.expand(len(noisy_KB), *x.shape) if index.dim() == 1 else x
    weight = own_KB.to(x.dtype).view(*own_KB.shape, *[1] * (x_KB.dim() - 2))
    return weight * x_KB + (1 - weight) * mixing.partners(x_KB)
