"""DivideMix (Li et al. 2020): each network's low losses choose the other's labelled samples, the rest is unlabelled.

Legend: K trials, N = 2 networks per trial, B batch, C classes, S samples, W window of epochs. A mixed batch holds two
views of each sample, 2B.

Written for the stack, it departs from the official program in three ways. A mini-batch is any B samples, divided where
it stands, so labelled and unlabelled ones come in their natural shares, an epoch is one pass over all samples, and an
empty share needs no care but a clamp. The batch is mixed once for both networks. Targets are guessed by both networks
in evaluation mode, where the program has the one that trains in training mode.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from s2e.methods.base import Setup, cross_entropy, pick
from s2e.methods.declared import semi
from s2e.methods.engine import Engine, MiniBatch, State
from s2e.methods.mixing import draw_mixing, mixing_of
from s2e.methods.mixtures import low_loss_posterior, unit_range
from s2e.methods.plain import Standard
from s2e.methods.targets import class_balance, entropy, sharpened, soft_cross_entropy


class DivideMix(Standard):
    """Warm-up by cross entropy; then soft CE on the labelled + lambda_u squared error on the unlabelled half of mixed
    samples + KL(uniform || mean prediction). A selected sample is a labelled one."""

    n_networks = 2
    params: semi.DivideMix

    def init_state(self, setup: Setup) -> State:
        shape = (setup.n_trials, setup.n_samples, self.n_networks)
        clean_KSN = torch.ones(shape, dtype=setup.dtype, device=setup.device)
        losses_KWSN = torch.zeros(shape[0], self.params.loss_window, *shape[1:], dtype=setup.dtype, device=setup.device)
        return {"clean_KSN": clean_KSN, "losses_KWSN": losses_KWSN}

    def begin_epoch(self, engine: Engine, t: int) -> None:
        """Draw the epoch's mixtures and, after the warm-up, divide the samples: P(clean) by the *other* network."""
        draw_mixing(engine, self.params.alpha, own_first=True, n_views=2)
        since = t - self.params.warm_up_epochs
        if since < 0:
            return
        state = engine.method_state
        # l_i = (CE_i - min CE) / (max CE - min CE); of its mean over the last W epochs, a mixture of two Gaussians:
        # w_i = P(component of the lower mean | l_i), which network 1 gets from network 2's losses, and the reverse
        loss_KNS = unit_range(cross_entropy(engine.train_logits(), engine.label_KS).double())
        state["losses_KWSN"][:, since % self.params.loss_window] = loss_KNS.transpose(1, 2)
        n_known = min(since + 1, self.params.loss_window)
        mean_KNS = state["losses_KWSN"][:, :n_known].double().mean(1).transpose(1, 2)
        clean_KNS = low_loss_posterior(mean_KNS.flatten(0, 1)).view_as(mean_KNS)
        state["clean_KSN"] = clean_KNS.flip(1).transpose(1, 2).to(state["clean_KSN"].dtype)

    def step(self, engine: Engine, batch: MiniBatch) -> tuple[torch.Tensor, torch.Tensor]:
        if engine.t < self.params.warm_up_epochs:
            return self._warm_up(engine, batch)
        views = [engine.images(batch.index, view) for view in (0, 1)]
        x = torch.cat(views, dim=batch.index.dim() - 1)
        clean_KNB = pick(engine.method_state["clean_KSN"], batch.index).transpose(1, 2)
        labelled_KNB = clean_KNB > self.params.threshold
        target_KNBC = self._targets(engine, batch, x, clean_KNB)
        mixing = mixing_of(engine, batch)
        twice_KNBC = torch.cat([target_KNBC, target_KNBC], dim=2)
        mixed_KNBC = mixing.values(twice_KNBC.transpose(1, 2)).transpose(1, 2)
        logits_KNBC = engine.forward(mixing.images(x, batch.index))
        loss_KN = self._divided_loss(logits_KNBC, mixed_KNBC, labelled_KNB.repeat(1, 1, 2), self._strength(engine))
        n_labelled_KN1 = labelled_KNB.sum(-1, keepdim=True).clamp(min=1)
        return loss_KN + class_balance(logits_KNBC), labelled_KNB / n_labelled_KN1.to(loss_KN.dtype)

    def _warm_up(self, engine: Engine, batch: MiniBatch) -> tuple[torch.Tensor, torch.Tensor]:
        logits_KNBC = engine.forward(engine.images(batch.index))
        engine.remember(batch.index, logits_KNBC)
        loss_KNB = cross_entropy(logits_KNBC, batch.label_KB)
        if self.params.confidence_penalty:
            loss_KNB = loss_KNB - entropy(logits_KNBC)
        return self.weigh(engine, batch, logits_KNBC, loss_KNB)

    @torch.no_grad()
    def _targets(self, engine: Engine, batch: MiniBatch, x: torch.Tensor, clean_KNB: torch.Tensor) -> torch.Tensor:
        """Sharpened targets [K, N, B, C]: co-refined labels of the labelled, co-guessed ones of the others."""
        first_KNBC, second_KNBC = engine.forward(x, train=False).chunk(2, dim=2)
        engine.remember(batch.index, first_KNBC)
        # p = (p(view 1) + p(view 2)) / 2
        p_KNBC = (first_KNBC.softmax(-1) + second_KNBC.softmax(-1)) / 2
        onehot_K1BC = F.one_hot(batch.label_KB, p_KNBC.shape[-1]).to(p_KNBC.dtype)[:, None]
        clean_KNB1 = clean_KNB[..., None]
        # labelled, w > threshold: w onehot + (1 - w) p of the network itself
        refined_KNBC = clean_KNB1 * onehot_K1BC + (1 - clean_KNB1) * p_KNBC
        # unlabelled: (p of this network + p of the other) / 2; then p_c^(1/T) / sum_j p_j^(1/T) for both
        guessed_KNBC = (p_KNBC + p_KNBC.flip(1)) / 2
        chosen_KNBC = torch.where(clean_KNB1 > self.params.threshold, refined_KNBC, guessed_KNBC)
        return sharpened(chosen_KNBC, self.params.temperature)

    @staticmethod
    def _divided_loss(
        logits_KNBC: torch.Tensor, target_KNBC: torch.Tensor, labelled_KNB: torch.Tensor, strength: torch.Tensor
    ) -> torch.Tensor:
        """Mean soft CE of the labelled + strength x mean squared error of the unlabelled -> [K, N]."""
        given_KNB = soft_cross_entropy(logits_KNBC, target_KNBC)
        guessed_KNB = (logits_KNBC.softmax(-1) - target_KNBC).square().mean(-1)
        return _mean_over(given_KNB, labelled_KNB) + strength * _mean_over(guessed_KNB, ~labelled_KNB)

    def _strength(self, engine: Engine) -> torch.Tensor:
        """lambda_u, risen linearly over the epochs since the warm-up."""
        # lambda_u min(1, (t + s / n_steps - warm-up) / ramp), at step s of epoch t
        done = engine.t - self.params.warm_up_epochs + engine.step.double() / engine.n_steps
        return self.params.unlabelled * (done / self.params.ramp_epochs).clamp(max=1)


def _mean_over(value_KNB: torch.Tensor, chosen_KNB: torch.Tensor) -> torch.Tensor:
    """Mean of the chosen values [K, N]; 0 where none is."""
    chosen_KNB = chosen_KNB.to(value_KNB.dtype)
    return (value_KNB * chosen_KNB).sum(-1) / chosen_KNB.sum(-1).clamp(min=1)
