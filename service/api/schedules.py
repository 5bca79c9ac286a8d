"""Use cases of schedules: the recommendation so far, and R(t) of every trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from s2e.jobs.trials import default_keep_rate
from s2e.words.answers import JobSchedule, Recommended
from service.api import bets
from service.api.stored import if_known, recommends, spec_of
from service.errors import NoSchedule
from service.store import queries
from service.store.models import Job

Place = tuple[int, int]


def recommended(session: Session, job: Job) -> Recommended | None:
    """The recommended schedule's trial: the report's, or the best bet on the trials that have succeeded so far."""
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
