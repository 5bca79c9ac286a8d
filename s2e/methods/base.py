"""A method is a per-sample loss x a weighting rule; everything else of a training is the engine's.

    loss = (weight_KNB.detach() * loss_KNB).sum(-1)

Legend: K trials, N networks per trial, B batch, C classes, S samples.

    plain        CE x 1/B
    Co-teaching  CE x small_loss(...).flip(1), the two networks swap
    SIGUA        negative weights for the samples that come next
    ELR          a loss that keeps a target per sample in ``state`` ([K, S, C]) and finds it by ``index``
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from s2e.methods.params import Params


@dataclass(frozen=True, eq=False)
class Batch:
    """What a weighting rule may look at beside the losses, without gradient and on the device."""

    logits_KNBC: torch.Tensor
    keep_K: torch.Tensor
    """Samples to keep, floor(R(t) B), at least one."""
    keep_rate_K: torch.Tensor
    """R(t), float64, for rules that keep a share of something else than the batch."""
    epoch: torch.Tensor
    """t, as a tensor without axes."""


State = dict[str, torch.Tensor]
"""What a method remembers between steps. Every tensor has a leading axis K, so a trial can leave the population."""


class Method(ABC):
    """Stateless in itself: all a method remembers is in the ``state`` the engine carries and hands in."""

    n_networks: int
    """Networks N of one trial."""
    may_skip: bool = False
    """A batch may give a trial no weight at all; its weights and moments then stay as they are."""

    params: Params
    """The hyperparameters, of the class the catalog names."""

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or Params()

    def init_state(self, n_trials: int, n_samples: int, n_classes: int, device: torch.device) -> State:  # noqa: ARG002
        """The state before the first step."""
        return {}

    def losses(
        self,
        logits_KNBC: torch.Tensor,
        label_KB: torch.Tensor,
        index: torch.Tensor,  # noqa: ARG002
        state: State,  # noqa: ARG002
    ) -> torch.Tensor:
        """loss_KNB. ``index`` holds sample numbers, [B] when trials share the batch, else [K, B]."""
        return cross_entropy(logits_KNBC, label_KB)

    @abstractmethod
    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        """weight_KNB: what each sample's loss counts, from losses without gradient; positive means selected."""


def cross_entropy(logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
    """Per-sample cross entropy -> loss_KNB."""
    label_KNB = label_KB[:, None].expand(logits_KNBC.shape[:3])
    loss = F.cross_entropy(logits_KNBC.flatten(0, 2), label_KNB.flatten(), reduction="none")
    return loss.view(logits_KNBC.shape[:3])
