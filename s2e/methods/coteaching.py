"""Co-teaching (Han et al. 2018).

Legend: K trials, N networks per trial, B batch.
"""

from __future__ import annotations

import torch

from s2e.methods.base import Method
from s2e.methods.declared import selection
from s2e.methods.selection import share_of_kept


class Exchange(Method):
    """Two networks; each learns from samples of smallest loss that the *other* selects.

    The loss is the mean over the selected samples; the official code divides it by their number once more.
    """

    n_networks = 2
    exchanges = True
    params: selection.Exchange

    def by_rank(self, keep_K: torch.Tensor, batch_size: int, dtype: torch.dtype) -> torch.Tensor:
        weight_KB = share_of_kept(keep_K, batch_size, dtype)
        return weight_KB / keep_K[:, None] if self.params.official_double_division else weight_KB


class CoTeaching(Exchange):
    """R(t) B samples of each batch."""

    params: selection.CoTeaching
