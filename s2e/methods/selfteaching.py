"""Self-teaching: self-paced MentorNet (Jiang et al. 2018), "Self-Teach" of SIGUA."""

from __future__ import annotations

import torch

from s2e.methods.base import Method
from s2e.methods.declared import selection
from s2e.methods.selection import share_of_kept


class SelfTeaching(Method):
    """One network learns from the R(t) B samples of its own smallest losses.

    Exactly floor(R B) samples: SIGUA eq. (4) read literally keeps one more.
    """

    n_networks = 1
    params: selection.SelfTeaching

    def by_rank(self, keep_K: torch.Tensor, batch_size: int, dtype: torch.dtype) -> torch.Tensor:
        return share_of_kept(keep_K, batch_size, dtype)
