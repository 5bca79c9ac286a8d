"""Labels that an audit takes to be wrong: their rows leave, or they get the likely label, always or by turns.

Legend: K trials, S training samples, R of them revised.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from s2e.data.datasets import Part, SplitData
from s2e.methods.engine import Sampler
from s2e.words import AuditSpec, DataError, DataSpec, TrainSpec, replace

EVEN = 0.5
Draw = Callable[[str, Sampler], torch.Tensor]


def revised_rows(
    spec: DataSpec, train: TrainSpec, data: SplitData, rows: torch.Tensor
) -> tuple[SplitData, torch.Tensor]:
    """``data``, and the numbers ``rows`` [S] of its training samples, without those that are dropped.

    Raises DataError for rows and labels that are not there.
    """
    if train.revise == "none":
        return data, rows
    if spec.audit is None:
        raise DataError(f"train.revise = {train.revise}, but data.audit names no labels")
    _require(spec.audit, int(rows.max()) + 1 if len(rows) else 0, data.n_classes)
    return _without(data, rows, spec.audit.rows) if train.revise == "drop" else (data, rows)


@lru_cache(maxsize=2)
def _without(data: SplitData, rows: torch.Tensor, dropped: tuple[int, ...]) -> tuple[SplitData, torch.Tensor]:
    kept = torch.from_numpy(~np.isin(rows.numpy(), dropped))
    train = Part(data.train.images[kept], data.train.labels[kept])
    ids = None if data.train_ids is None else data.train_ids[kept.numpy()]
    return replace(data, train=train, train_rows=data.train_rows[kept], train_ids=ids), rows[kept]


def _require(audit: AuditSpec, n_rows: int, n_classes: int) -> None:
    beyond = [row for row in audit.rows if row >= n_rows]
    if beyond:
        raise DataError(f"data.audit.rows: {beyond[0]}, of {n_rows} training rows")
    foreign = [label for label in audit.labels if label >= n_classes]
    if foreign:
        raise DataError(f"data.audit.labels: {foreign[0]}, of {n_classes} classes")


class Revised:
    """Labels that change: for good, or from epoch to epoch."""

    def __init__(self, audit: AuditSpec, rows: torch.Tensor, device: torch.device, *, softened: bool) -> None:
        place = {int(row): s for s, row in enumerate(rows)}
        kept = [(place[row], label) for row, label in zip(audit.rows, audit.labels, strict=True) if row in place]
        self.index_R = torch.tensor([s for s, _ in kept], dtype=torch.int64, device=device)
        self.label_R = torch.tensor([label for _, label in kept], dtype=torch.int64, device=device)
        self.softened = softened

    def sample(self, rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Mask [R] of the revised rows that take their likely label in an epoch, each with chance one half: over the
        epochs a sample trains on both labels, as it would on a soft one."""
        return rng.random(len(self.index_R)) < EVEN

    def labels(self, label_KS: torch.Tensor, draw: Draw) -> torch.Tensor:
        """The labels of an epoch [K, S]."""
        changed_KS = label_KS.clone()
        given_KR = label_KS[:, self.index_R]
        likely_KR = self.label_R.expand_as(given_KR)
        if self.softened:
            likely_KR = torch.where(draw("soften", self.sample), likely_KR, given_KR)
        changed_KS[:, self.index_R] = likely_KR
        return changed_KS
