"""SIGUA with small losses, SIGUA_SL (Han et al. 2020).

Legend: K trials, N networks per trial, B batch.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Batch, Method
from s2e.methods.params import SiguaSL as SiguaSLParams


class SiguaSL(Method):
    """One network: descent on the R(t) B smallest losses, ascent of strength gamma on those that come next, the middle
    ones (eqs. 3 and 6); the largest are ignored. gamma = 0 is StopGrad."""

    n_networks = 1
    params: SiguaSLParams

    def __init__(self, params: SiguaSLParams | None = None) -> None:
        self.params = params or SiguaSLParams()

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        batch_size = loss_KNB.shape[-1]
        n_good_K = batch.keep_K
        n_bad_K = self.n_bad(n_good_K, batch_size)
        good_weight_K, bad_weight_K = (self._share(n, batch_size).to(loss_KNB.dtype) for n in (n_good_K, n_bad_K))
        rank_B = torch.arange(batch_size, device=loss_KNB.device)
        good_KB = rank_B < n_good_K[:, None]
        bad_KB = (rank_B < (n_good_K + n_bad_K)[:, None]) & ~good_KB
        by_rank_KB = good_KB * good_weight_K[:, None] - self.params.gamma * bad_KB * bad_weight_K[:, None]
        order_KNB = loss_KNB.argsort(dim=-1, stable=True)
        return torch.zeros_like(loss_KNB).scatter_(-1, order_KNB, by_rank_KB[:, None].expand_as(loss_KNB))

    def n_bad(self, n_good_K: torch.Tensor, batch_size: int) -> torch.Tensor:
        """Samples of the ascent [K]: floor of the fraction, never more than are left."""
        left_K = batch_size - n_good_K
        base_K = left_K if self.params.fraction_of == "forgotten" else torch.full_like(left_K, batch_size)
        asked_K = (self.params.fraction * base_K.double() + 1e-9).floor().to(left_K.dtype)
        return torch.minimum(asked_K, left_K)

    def _share(self, n_K: torch.Tensor, batch_size: int) -> torch.Tensor:
        """Weight of one sample of a group of n, float64; an empty group has no samples to weigh."""
        n_K = n_K.clamp(min=1) if self.params.normalise == "group" else torch.full_like(n_K, batch_size)
        return 1 / n_K.double()
