"""Symmetric cross entropy (Wang et al. 2019).

Legend: K trials, N networks per trial, B batch, C classes.
"""

from __future__ import annotations

import torch

from s2e.methods.base import cross_entropy
from s2e.methods.engine import State
from s2e.methods.params import Sce as SCEParams
from s2e.methods.plain import Standard


class SCE(Standard):
    """alpha CE + beta RCE on every sample. With one-hot labels the reverse term -sum_c p_c ln y_c is A (p_y - 1), where
    A < 0 stands for ln 0."""

    params: SCEParams

    def __init__(self, params: SCEParams | None = None) -> None:
        self.params = params or SCEParams()

    def losses(
        self,
        logits_KNBC: torch.Tensor,
        label_KB: torch.Tensor,
        index: torch.Tensor,  # noqa: ARG002
        state: State,  # noqa: ARG002
    ) -> torch.Tensor:
        loss_KNB = cross_entropy(logits_KNBC, label_KB)
        reverse_KNB = self.params.log_zero * torch.expm1(-loss_KNB)
        return self.params.alpha * loss_KNB + self.params.beta * reverse_KNB
