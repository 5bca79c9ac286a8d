"""Co-teaching (Han et al. 2018)."""

from __future__ import annotations

import torch

from s2e.methods.base import Batch, Method
from s2e.methods.selection import small_loss


class CoTeaching(Method):
    """Two networks; each learns from the R(t) B samples of smallest loss that the *other* selects.

    The loss is the mean over the selected samples. (The official code divides it by their number once more.)
    """

    n_networks = 2

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        return small_loss(loss_KNB, batch.keep_K).flip(1)
