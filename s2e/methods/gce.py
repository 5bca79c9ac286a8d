"""Generalised cross entropy (Zhang & Sabuncu 2018), the plain L_q loss.

Legend: K trials, N networks per trial, B batch, C classes.
"""

from __future__ import annotations

import torch

from s2e.methods.base import cross_entropy
from s2e.methods.engine import State
from s2e.methods.params import Gce as GCEParams
from s2e.methods.plain import Standard


class GCE(Standard):
    """L_q = (1 - p_y^q) / q on every sample: cross entropy for q -> 0, mean absolute error for q = 1."""

    params: GCEParams

    def __init__(self, params: GCEParams | None = None) -> None:
        self.params = params or GCEParams()

    def losses(
        self,
        logits_KNBC: torch.Tensor,
        label_KB: torch.Tensor,
        index: torch.Tensor,  # noqa: ARG002
        state: State,  # noqa: ARG002
    ) -> torch.Tensor:
        # p^q = exp(-q CE): no power of a zero, whose gradient would be infinite
        q = self.params.q
        return -torch.expm1(-q * cross_entropy(logits_KNBC, label_KB)) / q
