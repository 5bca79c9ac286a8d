"""Retention of the files of jobs that have ended: which rows a rule is about, and what they say afterwards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from s2e.words.states import JOB_ENDED
from service.store import audit, queries
from service.store.clock import database_now
from service.store.models import Job, Trial


@dataclass(frozen=True)
class Ended:
    """A job that has ended."""

    id: str
    state: str
    at: datetime


def ended_jobs(session: Session) -> list[Ended]:
    """Every job that has ended, the one that ended longest ago first."""
    query = select(Job.id, Job.state, Job.finished_at).where(Job.state.in_(JOB_ENDED), Job.finished_at.is_not(None))
    rows = session.execute(query.order_by(Job.finished_at, Job.id))
    return [Ended(job_id, state, at) for job_id, state, at in rows if at is not None]


def hold(session: Session, job_id: str, owner: str, lease_s: float) -> bool:
    """Take the lease of a job that has ended, so that nobody deletes with us and a retry waits for us; False where it
    has not ended or another has it."""
    now = database_now(session)
    free = Job.lease_owner.is_(None) | (Job.lease_until < now) | (Job.lease_owner == owner)
    held = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state.in_(JOB_ENDED), free)
        .values(lease_owner=owner, lease_until=now + timedelta(seconds=lease_s))
        .returning(Job.id)
    )
    return held.first() is not None


def let_go(session: Session, job_id: str, owner: str) -> None:
    """Give the lease back."""
    session.execute(
        update(Job).where(Job.id == job_id, Job.lease_owner == owner).values(lease_owner=None, lease_until=None)
    )


def reported_models(session: Session, job_id: str) -> set[str]:
    """The model files that a job's report names."""
    row = queries.report(session, job_id)
    return set() if row is None else set(model_files(row.report))


def best_models(session: Session, job_id: str, most: int) -> set[str]:
    """The model files of the trials with the best objectives."""
    query = select(Trial.model).where(Trial.job_id == job_id, Trial.model.is_not(None), Trial.objective.is_not(None))
    best = session.scalars(query.order_by(Trial.objective, Trial.round, Trial.k).limit(most))
    return {path for path in best if path is not None}


def model_files(report: dict[str, Any]) -> list[str]:
    """The model files that a report of any kind names."""
    rows: Sequence[dict[str, Any]] = report["rows"]
    named = [report.get("recommended_model"), report.get("best_run_model"), *(row.get("model") for row in rows)]
    return [path for path in named if path]


def forget_models(session: Session, job_id: str, kept: Collection[str], said: str) -> None:
    """Trials whose model is gone have none, and the audit trail says why."""
    gone = update(Trial).where(Trial.job_id == job_id, Trial.model.is_not(None), Trial.model.not_in(kept))
    session.execute(gone.values(model=None))
    audit.record(session, "", None, said, job_id, "", "")
