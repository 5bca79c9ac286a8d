"""Use case: the curves of the trials of each label, which in a comparison are its entries."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from s2e.words.answers import Curve, Curves
from service.api.series import thin
from service.api.stored import spec_of
from service.store import queries
from service.store.models import Job


def curves_out(session: Session, job: Job, metric: str, max_points: int) -> Curves:
    """Mean and range over the trials of each label, in the order the labels first appear."""
    epochs = thin(_n_epochs(session, job), max_points)
    place = {epoch: i for i, epoch in enumerate(epochs)}
    points: dict[str, list[queries.CurvePoint | None]] = {}
    for point in queries.curves(session, job.id, metric, epochs):
        points.setdefault(point.label, [None] * len(epochs))[place[point.epoch]] = point
    labels = queries.labels(session, job.id)
    items = tuple(_curve(label, n_trials, points[label]) for label, n_trials in labels if label in points)
    return Curves(metric=metric, epochs=tuple(epochs), items=items)


def _n_epochs(session: Session, job: Job) -> int:
    """Epochs of a whole training; where the spec cannot be read, those of the schedules that are stored."""
    spec, _ = spec_of(job)
    if spec is not None:
        return spec.train.n_epochs
    return max(
        (len(trial.spec["keep_rate"]) for trial in queries.trials(session, job.id, 1, None, None, None)), default=0
    )


def _curve(label: str, n_trials: int, points: Sequence[queries.CurvePoint | None]) -> Curve:
    return Curve(
        label=label,
        n_trials=n_trials,
        mean=tuple(point and point.mean for point in points),
        low=tuple(point and point.low for point in points),
        high=tuple(point and point.high for point in points),
    )
