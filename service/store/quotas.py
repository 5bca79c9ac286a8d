"""Quotas: an owner's jobs and trials under way, and how many there may be."""

from __future__ import annotations

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from s2e.words.states import TRIAL_IN_FLIGHT
from service.errors import OverQuota
from service.store.models import JOB_LIVE, Job, Trial


def jobs_open(session: Session, owner: str) -> int:
    """Jobs of an owner that have not ended."""
    return session.scalar(select(func.count()).where(text(f"jobs.{JOB_LIVE}"), Job.owner == owner)) or 0


def trials_under_way(session: Session, owner: str) -> int:
    """Trials of an owner that are leased or running."""
    query = select(func.count()).select_from(Trial).join(Job, Job.id == Trial.job_id)
    where = (text(f"jobs.{JOB_LIVE}"), Job.owner == owner, Trial.state.in_(TRIAL_IN_FLIGHT))
    return session.scalar(query.where(*where)) or 0


def trials_left(session: Session, owner: str, most: int) -> int | None:
    """Number of further trials that an owner may have under way; None: any number."""
    return max(0, most - trials_under_way(session, owner)) if most else None


def check_jobs(session: Session, owner: str, most: int) -> None:
    """Raise OverQuota where an owner has more jobs than one may have; the new one is counted."""
    if most and jobs_open(session, owner) > most:
        whose = f"{owner} has" if owner else "you have"
        raise OverQuota(
            f"{whose} {most} jobs that have not ended, as many as allowed (S2E_OWNER_JOBS): cancel one, or wait"
        )
