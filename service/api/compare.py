"""Use cases of a comparison job: the schedules it takes from searches, and the curves of its entries."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from s2e.door import parse_job
from s2e.words import EntrySpec, JobSpec, Problem, SpecError, replace, to_json
from s2e.words.answers import Curve, Curves
from service.api.series import thin
from service.api.stored import spec_of
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
