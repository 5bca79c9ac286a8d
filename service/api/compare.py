"""Use cases of a comparison job: the curves of its entries."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from s2e.door import parse_job
from service.api import schemas_compare as schemas
from service.api.series import thin
from service.store import queries
from service.store.models import Job


def curves_out(session: Session, job: Job, metric: schemas.CurveName, max_points: int) -> schemas.CurvesOut:
    """Mean and range over the trials of each label, in the order the labels first appear."""
    epochs = thin(parse_job(job.spec).train.n_epochs, max_points)
    place = {epoch: i for i, epoch in enumerate(epochs)}
    found: dict[str, list[queries.CurvePoint | None]] = {}
    for point in queries.curves(session, job.id, metric, epochs):
        found.setdefault(point.label, [None] * len(epochs))[place[point.epoch]] = point
    labels = queries.labels(session, job.id)
    items = [_curve(label, n_trials, found[label]) for label, n_trials in labels if label in found]
    return schemas.CurvesOut(metric=metric, epochs=epochs, items=items)


def _curve(label: str, n_trials: int, points: Sequence[queries.CurvePoint | None]) -> schemas.Curve:
    return schemas.Curve(
        label=label,
        n_trials=n_trials,
        mean=[point and point.mean for point in points],
        low=[point and point.low for point in points],
        high=[point and point.high for point in points],
    )
