"""Standard training: the mean cross entropy over every sample."""

from __future__ import annotations

import torch

from s2e.methods.base import Method


class Standard(Method):
    """One network, every sample counts 1/B; the schedule is ignored."""

    n_networks = 1

    def by_rank(self, keep_K: torch.Tensor, batch_size: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.full((len(keep_K), 1), 1 / batch_size, dtype=dtype, device=keep_K.device)
