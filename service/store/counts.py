"""Counts of everything, for monitoring: few queries, over what has not ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from s2e.words.states import JOB_STATES, TRIAL_STATES
from service.store.clock import database_now
from service.store.leases import DISPATCHER_SILENT_S
from service.store.models import (
    ATTEMPT_OPEN,
    DELIVERY_OPEN,
    JOB_LEASED,
    JOB_LIVE,
    Attempt,
    DeliveryRow,
    DispatcherRow,
    Job,
    JobEvent,
    Trial,
    WorkerRow,
)


@dataclass(frozen=True)
class Place:
    """A place that trains."""

    cpus: float
    gpus: float
    busy: int
    quarantined: int


@dataclass(frozen=True)
class Counts:
    """Counts of everything that has not ended, at one moment."""

    jobs: Mapping[str, int]
    trials: Mapping[str, int]
    events: int
    job_leases: int
    trial_leases: int
    dispatchers: int
    deliveries: int
    places: Mapping[str, Place]


def count(session: Session) -> Counts:
    """Count it all in one view of the database."""
    now = database_now(session)
    of_live = select(Trial.state, func.count()).join(Job, Job.id == Trial.job_id).where(text(f"jobs.{JOB_LIVE}"))
    alive = (DispatcherRow.trouble == "", DispatcherRow.seen_at >= now - timedelta(seconds=DISPATCHER_SILENT_S))
    leased = (text(f"attempts.{ATTEMPT_OPEN}"), Attempt.lease_until >= now)
    return Counts(
        jobs=_counted(session, select(Job.state, func.count()).group_by(Job.state), JOB_STATES),
        trials=_counted(session, of_live.group_by(Trial.state), TRIAL_STATES),
        events=session.scalar(select(func.max(JobEvent.id))) or 0,
        job_leases=session.scalar(select(func.count()).where(text(f"jobs.{JOB_LEASED}"), Job.lease_until >= now)) or 0,
        trial_leases=session.scalar(select(func.count()).where(*leased)) or 0,
        dispatchers=session.scalar(select(func.count()).where(*alive)) or 0,
        deliveries=session.scalar(select(func.count(DeliveryRow.id)).where(text(DELIVERY_OPEN))) or 0,
        places={row.name: _place(row, now) for row in session.scalars(select(WorkerRow).order_by(WorkerRow.name))},
    )


def _counted(session: Session, query: Select[str, int], names: Sequence[str]) -> dict[str, int]:
    """Counts by name, with 0 for names that have no rows."""
    return dict.fromkeys(names, 0) | dict(iter(session.execute(query)))


def _place(row: WorkerRow, now: datetime) -> Place:
    shut = row.quarantined_until is not None and row.quarantined_until > now
    return Place(row.cpus, row.gpus, row.busy, int(shut))
