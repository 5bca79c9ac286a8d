"""Standard training: the mean cross entropy over every sample."""

from __future__ import annotations

import torch

from s2e.methods.base import Batch, Method


class Standard(Method):
    """One network, every sample counts 1/B; the schedule is ignored."""

    n_networks = 1

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:  # noqa: ARG002
        return torch.full_like(loss_KNB, 1 / loss_KNB.shape[-1])
