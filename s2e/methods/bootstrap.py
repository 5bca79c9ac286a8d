"""Bootstrap, soft and hard (Reed et al. 2015).

Legend: K trials, N networks per trial, B batch, C classes.
"""

from __future__ import annotations

import torch

from s2e.methods.base import cross_entropy
from s2e.methods.engine import State
from s2e.methods.params import BootstrapHard as BootstrapHardParams
from s2e.methods.params import BootstrapSoft as BootstrapSoftParams
from s2e.methods.plain import Standard


class BootstrapSoft(Standard):
    """-sum_c (b y_c + (1 - b) p_c) ln p_c on every sample; the gradient flows through p_c in the target too."""

    params: BootstrapSoftParams

    def __init__(self, params: BootstrapSoftParams | None = None) -> None:
        self.params = params or BootstrapSoftParams()

    def losses(
        self,
        logits_KNBC: torch.Tensor,
        label_KB: torch.Tensor,
        index: torch.Tensor,  # noqa: ARG002
        state: State,  # noqa: ARG002
    ) -> torch.Tensor:
        log_p_KNBC = logits_KNBC.log_softmax(-1)
        entropy_KNB = -(log_p_KNBC.exp() * log_p_KNBC).sum(-1)
        b = self.params.label_weight
        return b * cross_entropy(logits_KNBC, label_KB) + (1 - b) * entropy_KNB


class BootstrapHard(Standard):
    """-sum_c (b y_c + (1 - b) z_c) ln p_c on every sample, z the one-hot class that the network predicts."""

    params: BootstrapHardParams

    def __init__(self, params: BootstrapHardParams | None = None) -> None:
        self.params = params or BootstrapHardParams()

    def losses(
        self,
        logits_KNBC: torch.Tensor,
        label_KB: torch.Tensor,
        index: torch.Tensor,  # noqa: ARG002
        state: State,  # noqa: ARG002
    ) -> torch.Tensor:
        own_KNB = -logits_KNBC.log_softmax(-1).amax(-1)
        b = self.params.label_weight
        return b * cross_entropy(logits_KNBC, label_KB) + (1 - b) * own_KNB
