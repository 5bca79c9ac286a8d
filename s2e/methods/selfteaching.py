"""Self-teaching: self-paced MentorNet (Jiang et al. 2018), "Self-Teach" of SIGUA."""

from __future__ import annotations

import torch

from s2e.methods.base import Batch, Method
from s2e.methods.selection import small_loss


class SelfTeaching(Method):
    """One network learns from the R(t) B samples of its own smallest losses.

    Exactly floor(R B) samples: SIGUA eq. (4) read literally keeps one more.
    """

    n_networks = 1

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        return small_loss(loss_KNB, batch.keep_K)
