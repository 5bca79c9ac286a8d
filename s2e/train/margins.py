"""Margins of every given label, read off the training itself: how surely networks learned it, and their other guess.

Nothing is computed for samples that train: the logits are those of the training steps, each sample's once an epoch.
Samples that validate or test are looked at once, when the training has ended.

Legend: K trials, N networks per trial, B batch, C classes, S samples, M steps (mini-batches) of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from s2e.labels.free import TrialMargins

NEVER_SEEN = -1
"""A class nobody predicts: the sample was not trained on this epoch."""
_KEPT = ("sum_KNS", "voted_KNS", "votes_KNS", "visits_KS")


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The verdict of trained networks on samples that they did not train on: H that validate, then those that test."""

    margin_KNH: torch.Tensor
    """Float32."""
    voted_KNH: torch.Tensor
    """The class that each network predicts, int16."""


class Margins:
    """Of each trial, network and sample: the sum of its margins, and the class predicted in most epochs.

    That class is Boyer and Moore's majority: a candidate, and by how many votes it leads; no counts by class.
    """

    def __init__(self, n_trials: int, n_networks: int, n_samples: int, device: torch.device) -> None:
        shape_KNS = (n_trials, n_networks, n_samples)
        self.sum_KNS = torch.zeros(shape_KNS, device=device)
        """Area under the margin (Pleiss et al. 2020)."""
        self.voted_KNS = torch.full(shape_KNS, NEVER_SEEN, dtype=torch.int16, device=device)
        self.votes_KNS = torch.zeros(shape_KNS, dtype=torch.int16, device=device)
        self.visits_KS = torch.zeros((n_trials, n_samples), dtype=torch.int16, device=device)

    def add(self, index: torch.Tensor, logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> None:
        """One mini-batch, ``index`` [B] shared or [K, B]; no sample is in it twice."""
        self._add_at(index, margins(logits_KNBC, label_KB))

    def add_epoch(self, order_MRB: torch.Tensor, margin_MKNB: torch.Tensor) -> None:
        """All mini-batches of an epoch, which sees no sample twice; R is 1 where the trials share their batches."""
        self._add_at(order_MRB.transpose(0, 1).flatten(1), margin_MKNB.permute(1, 2, 0, 3).flatten(2))

    def end_epoch(self, predicted_KNS: torch.Tensor) -> None:
        """One vote of every network for each sample that it saw."""
        seen_KNS = predicted_KNS != NEVER_SEEN
        self.visits_KS += seen_KNS[:, 0]
        is_new_KNS = seen_KNS & (self.votes_KNS == 0)
        self.voted_KNS = torch.where(is_new_KNS, predicted_KNS, self.voted_KNS)
        self.votes_KNS += torch.where(predicted_KNS == self.voted_KNS, 1, -1) * seen_KNS

    def keep(self, alive_K: torch.Tensor) -> None:
        """Only these trials go on."""
        for name in _KEPT:
            setattr(self, name, getattr(self, name)[alive_K])

    def tensors(self, k: int) -> dict[str, torch.Tensor]:
        """Trial k's part, for a checkpoint."""
        return {f"margins.{name}": getattr(self, name)[k] for name in _KEPT}

    def restore(self, trials: Sequence[dict[str, torch.Tensor]]) -> bool:
        """Go on from :meth:`tensors` of every trial; False where one has none, and nothing can be said of its start."""
        if not all(f"margins.{name}" in of for of in trials for name in _KEPT):
            return False
        for name in _KEPT:
            getattr(self, name).copy_(torch.stack([of[f"margins.{name}"] for of in trials]))
        return True

    def of(self, k: int, held_out: HeldOut | None = None) -> TrialMargins | None:
        """Trial k's mean margins; None where its method never predicts the samples as they are."""
        visits_S = self.visits_KS[k].cpu().numpy()
        if not visits_S.any():
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            margin_NS = (self.sum_KNS[k].cpu().numpy() / visits_S).astype(np.float32)
        others = () if held_out is None else (held_out.margin_KNH[k].cpu().numpy(), held_out.voted_KNH[k].cpu().numpy())
        return TrialMargins(margin_NS, self.voted_KNS[k].cpu().numpy(), *others)

    def _add_at(self, index: torch.Tensor, margin: torch.Tensor) -> None:
        where = index if index.dim() == 1 else index[:, None]
        self.sum_KNS.scatter_add_(2, where.expand_as(margin), margin.to(self.sum_KNS.dtype))


def margins(logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
    """The logit of the label minus the largest other one -> [K, N, B]."""
    label_KNB1 = label_KB[:, None, :, None].expand(*logits_KNBC.shape[:3], 1)
    others_KNB = logits_KNBC.scatter(-1, label_KNB1, -torch.inf).amax(-1)
    return logits_KNBC.gather(-1, label_KNB1).squeeze(-1) - others_KNB


@torch.inference_mode()
def held_out(
    logits_of: Callable[[torch.Tensor], torch.Tensor], chunks: Iterable[tuple[torch.Tensor, torch.Tensor]]
) -> HeldOut:
    """The verdict on ``chunks`` of images with their labels [B]; ``logits_of`` gives the networks' logits_KNBC."""
    margin, predicted = [], []
    for images, label_B in chunks:
        logits_KNBC = logits_of(images)
        margin.append(margins(logits_KNBC, label_B.expand(len(logits_KNBC), -1)).float())
        predicted.append(logits_KNBC.argmax(-1).to(torch.int16))
    return HeldOut(torch.cat(margin, dim=-1), torch.cat(predicted, dim=-1))
