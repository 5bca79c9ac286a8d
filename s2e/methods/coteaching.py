"""Co-teaching (Han et al. 2018).

Legend: K trials, N networks per trial, B batch.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Batch, Method
from s2e.methods.declared import selection
from s2e.methods.selection import small_loss


class CoTeaching(Method):
    """Two networks; each learns from the R(t) B samples of smallest loss that the *other* selects.

    The loss is the mean over the selected samples; the official code divides it by their number once more.
    """

    n_networks = 2
    params: selection.CoTeaching

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        return self.exchanged(loss_KNB, batch.keep_K)

    def exchanged(self, loss_KNB: torch.Tensor, keep_K: torch.Tensor) -> torch.Tensor:
        """Each network's weights, from the ``keep_K`` smallest losses of the other."""
        weight_KNB = small_loss(loss_KNB, keep_K).flip(1)
        return weight_KNB / keep_K[:, None, None] if self.params.official_double_division else weight_KNB
