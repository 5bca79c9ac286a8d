"""Use case: the curves of the trials of each label, which in a comparison are its entries."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from s2e.words.answers import Curve, Curves
from service.api.series import thin
from service.api.stored import spec_of
from service.store import queries
from service.store.models import Job

LONG_S, PAUSE = 0.2, 10
"""A curve that takes longer than LONG_S to read, as with thousands of trials, is read again after PAUSE times as long
while the job runs. Until then readers get the curve of a moment ago."""
MOST_KEPT = 64


@dataclass(frozen=True)
class _Kept:
    curves: Curves
    last_id: int
    """The newest event when it was read."""
    until_s: float


_kept: OrderedDict[tuple[str, str, int], _Kept] = OrderedDict()
_lock = threading.Lock()


def curves_out(session: Session, job: Job, metric: str, max_points: int) -> Curves:
    """Mean and range over the trials of each label, in the order the labels first appear."""
    wanted = (job.id, metric, max_points)
    with _lock:  # of readers that come together one reads
        last_id = queries.last_events(session, [job.id]).get(job.id, 0)
        kept = _kept.get(wanted)
        is_new = kept is not None and (
            kept.last_id == last_id or (job.state == "running" and time.monotonic() < kept.until_s)
        )
        if kept is None or not is_new:
            began_s = time.monotonic()
            curves = _read(session, job, metric, max_points)
            took_s = time.monotonic() - began_s
            kept = _Kept(curves, last_id, began_s + (PAUSE * took_s if took_s > LONG_S else 0.0))
            _kept[wanted] = kept
            while len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
        return kept.curves


def _read(session: Session, job: Job, metric: str, max_points: int) -> Curves:
    epochs = thin(_n_epochs(session, job), max_points)
    place = {epoch: i for i, epoch in enumerate(epochs)}
    points: dict[str, list[queries.CurvePoint | None]] = {}
    for point in queries.curves(session, job.id, metric, epochs):
        points.setdefault(point.label, [None] * len(epochs))[place[point.epoch]] = point
    labels = queries.labels(session, job.id)
    items = tuple(_curve(label, n_trials, points[label]) for label, n_trials in labels if label in points)
    return Curves(metric=metric, epochs=tuple(epochs), items=items)


def table(curves: Curves) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Head and rows of a table with a row for each label and epoch."""
    rows = [
        (curve.label, curve.n_trials, epoch, *point)
        for curve in curves.items
        for epoch, *point in zip(curves.epochs, curve.mean, curve.low, curve.high, strict=True)
    ]
    return ["label", "n_trials", "epoch", "mean", "low", "high"], rows


def _n_epochs(session: Session, job: Job) -> int:
    """Epochs of a whole training; where the spec cannot be read, those of the schedules that are stored."""
    spec, _ = spec_of(job)
    if spec is not None:
        return spec.train.n_epochs
    return max((len(trial.spec["keep_rate"]) for trial in queries.trials(session, job.id, 1, None)), default=0)


def _curve(label: str, n_trials: int, points: Sequence[queries.CurvePoint | None]) -> Curve:
    return Curve(
        label=label,
        n_trials=n_trials,
        mean=tuple(point and point.mean for point in points),
        low=tuple(point and point.low for point in points),
        high=tuple(point and point.high for point in points),
    )
