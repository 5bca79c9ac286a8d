"""Use cases of a comparison job: the schedules it takes from searches, and the curves of its entries."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from s2e.door import parse_job
from s2e.words import EntrySpec, JobSpec, Problem, SpecError, replace, to_json
from service.api import schemas_compare as schemas
from service.api.series import thin
from service.store import queries
from service.store.models import Job


def with_schedules(session: Session, spec: JobSpec) -> JobSpec:
    """``spec`` with the schedule of every entry that names a job. Raises SpecError for a job that recommends none."""
    if spec.compare is None:
        return spec
    entries = tuple(
        _with_schedule(session, spec, entry, f"compare.entries[{i}].schedule")
        for i, entry in enumerate(spec.compare.entries)
    )
    if entries == spec.compare.entries:
        return spec
    return parse_job(to_json(replace(spec, compare=replace(spec.compare, entries=entries))))


def _with_schedule(session: Session, spec: JobSpec, entry: EntrySpec, path: str) -> EntrySpec:
    """The entry with R(t) and the searched training settings of the job it names; the entry's own settings win."""
    if entry.schedule.kind != "job":
        return entry
    if entry.schedule.keep_rate:
        raise SpecError(Problem(f"{path}.keep_rate", "given", "nothing: it is taken from the job"))
    job_id = entry.schedule.job
    report = queries.report(session, job_id)
    if report is None or report.report.get("recommended") is None:
        raise SpecError(Problem(f"{path}.job", job_id, "a completed search that recommends a schedule"))
    keep_rate, searched = tuple(report.report["keep_rate"]), dict(report.report.get("train", {}))
    if len(keep_rate) != spec.train.n_epochs:
        allowed = f"a search of {spec.train.n_epochs} epochs, as this job; this one has {len(keep_rate)}"
        raise SpecError(Problem(f"{path}.job", job_id, allowed))
    params = searched.pop("params", {})
    same_method = queries.job(session, job_id).spec["train"]["method"] == entry.method
    return replace(
        entry,
        schedule=replace(entry.schedule, keep_rate=keep_rate),
        params={**entry.params, **(params if same_method else {})},
        train={**searched, **entry.train},
    )


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
