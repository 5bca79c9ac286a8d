"""SIGUA: gradient descent on good samples, a weak ascent on bad ones (Han et al. 2020).

Legend: K trials, N networks per trial, B batch, S samples.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Batch, Method, Setup, pick
from s2e.methods.declared import selection
from s2e.methods.engine import State
from s2e.methods.selection import small_loss


class StopGrad(Method):
    """One network: descent on the good samples, nothing on the bad ones (eq. 3 with gamma = 0)."""

    n_networks = 1
    may_skip = True
    params: selection.StopGrad

    @property
    def gamma(self) -> float:
        """Strength of the ascent on the bad samples."""
        return 0.0

    def init_state(self, setup: Setup) -> State:
        return {"clean_KS": setup.label_KS == setup.true_label_S} if self.params.good == "oracle" else {}

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        if self.params.good == "oracle":
            good_KNB = pick(batch.state["clean_KS"], batch.index)[:, None].expand_as(loss_KNB)
        else:
            good_KNB = small_loss(loss_KNB, batch.keep_K) > 0
        good_KNB = good_KNB | (batch.epoch < self.params.warm_up_epochs)
        n_good_KN1 = good_KNB.sum(-1, keepdim=True)
        batch_size = loss_KNB.shape[-1]
        good_share, bad_share = (
            group_share(n, batch_size, self.params.normalise).to(loss_KNB.dtype)
            for n in (n_good_KN1, batch_size - n_good_KN1)
        )
        return torch.where(good_KNB, good_share, -self.gamma * bad_share)


class Sigua(StopGrad):
    """The prototype, eq. (3): descent on the good samples, ascent of strength gamma on all others."""

    params: selection.Sigua

    @property
    def gamma(self) -> float:
        return self.params.gamma


class SiguaSL(Method):
    """One network: descent on the R(t) B smallest losses, ascent of strength gamma on those that come next, the middle
    ones (eqs. 3 and 6); the largest are ignored. gamma = 0 is StopGrad."""

    n_networks = 1
    params: selection.SiguaSL

    def by_rank(self, keep_K: torch.Tensor, batch_size: int, dtype: torch.dtype) -> torch.Tensor:
        n_bad_K = self.n_bad(keep_K, batch_size)
        good_share_K, bad_share_K = (
            group_share(n, batch_size, self.params.normalise).to(dtype) for n in (keep_K, n_bad_K)
        )
        rank_B = torch.arange(batch_size, device=keep_K.device)
        good_KB = rank_B < keep_K[:, None]
        bad_KB = (rank_B < (keep_K + n_bad_K)[:, None]) & ~good_KB
        # gamma times the share: a number times a mask would be float32, in a float64 plan too
        return good_KB * good_share_K[:, None] - bad_KB * (self.params.gamma * bad_share_K)[:, None]

    def n_bad(self, n_good_K: torch.Tensor, batch_size: int) -> torch.Tensor:
        """Samples of the ascent [K]: floor of the fraction, at least ``fewest_bad`` and never more than are left; none
        for a fraction of 0."""
        left_K = batch_size - n_good_K
        base_K = left_K if self.params.fraction_of == "forgotten" else torch.full_like(left_K, batch_size)
        asked_K = (self.params.fraction * base_K.double() + 1e-9).floor().to(left_K.dtype)
        fewest = self.params.fewest_bad if self.params.fraction > 0 else 0
        return torch.minimum(asked_K.clamp(min=fewest), left_K)


def group_share(n: torch.Tensor, batch_size: int, normalise: str) -> torch.Tensor:
    """Weight of one sample of a group of n, float64: 1/B, or 1/n for ``group``; an empty group counts as n = 1."""
    n = n.clamp(min=1) if normalise == "group" else torch.full_like(n, batch_size)
    return 1 / n.double()
