"""Use cases of schedules: what is recommended so far, and R(t) of every trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from s2e.jobs.trials import default_keep_rate
from s2e.words.answers import JobSchedule, Recommended, TrialSchedule, TrialSchedules
from service.api import bets
from service.api.series import thin
from service.api.stored import if_known, recommends, spec_of
from service.errors import NoSchedule
from service.store import queries
from service.store.models import Job

Place = tuple[int, int]
MOST_CHANGES = 2_000
"""Events behind which a reader is sent everything anew."""


def recommended(session: Session, job: Job) -> Recommended | None:
    """The recommended schedule's trial: the report's, or the best bet on what has succeeded so far."""
    if not recommends(job):
        return None
    place: Place | None
    if (report := queries.report(session, job.id)) is not None:
        place = report.report["recommended"]
    else:
        place = bets.best(session, job)
    return None if place is None else Recommended(round=place[0], k=place[1])


def schedule_out(session: Session, job: Job) -> JobSchedule:
    """The recommended R(t); the default Co-teaching schedule while no trial has succeeded. Raises NoSchedule."""
    if not recommends(job):
        raise NoSchedule(job.id)
    report, place = queries.report(session, job.id), recommended(session, job)
    keep_rate: Sequence[float]
    train: dict[str, Any] = {}
    if report is not None:
        keep_rate, train = report.report["keep_rate"], report.report.get("train", {})
    elif place is not None:
        trial = queries.trials(session, job.id, 1, (place.round, place.k - 1), place.round, None)[0]
        keep_rate, train = trial.spec["keep_rate"], trial.train
    else:
        spec, _ = spec_of(job)
        keep_rate = (if_known(default_keep_rate, spec) if spec is not None else None) or ()
    return JobSchedule(
        recommended=place,
        provisional=report is None,
        label="searched" if place is not None else "default" if keep_rate else "unknown",
        keep_rate=tuple(keep_rate),
        train=train,
    )


def schedules_out(
    session: Session, job: Job, max_points: int, since: int | None = None, digits: int | None = None
) -> TrialSchedules:
    """R(t) of every trial at the same few epochs, or of those that changed ``since`` an event."""
    changes = None if since is None else queries.changes(session, job.id, since, MOST_CHANGES)
    if changes is None:
        last_id = queries.last_events(session, [job.id]).get(job.id, 0)
        rows = queries.schedules(session, job.id)
    else:
        last_id, changed, trials = changes
        rows = queries.schedules(session, job.id, changed, trials) if changed or trials else []
    epochs = thin(_n_epochs(job, rows), max_points)
    return TrialSchedules(
        epochs=tuple(epochs),
        items=tuple(_trial_schedule(row, epochs, digits) for row in rows),
        recommended=recommended(session, job),
        last_event_id=last_id,
        whole=changes is None,
    )


def _n_epochs(job: Job, rows: Sequence[Row[Any]]) -> int:
    spec, _ = spec_of(job)
    return spec.train.n_epochs if spec is not None else max((len(row.spec["keep_rate"]) for row in rows), default=0)


def _trial_schedule(row: Row[Any], epochs: Sequence[int], digits: int | None) -> TrialSchedule:
    keep_rate = row.spec["keep_rate"]
    thinned = (keep_rate[t] for t in epochs)
    return TrialSchedule(
        id=row.id,
        round=row.round,
        k=row.k,
        label=row.label,
        state=row.state,
        validation_accuracy=row.validation_accuracy,
        keep_rate=tuple(thinned if digits is None else (round(value, digits) for value in thinned)),
    )
