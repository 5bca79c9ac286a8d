"""Jobs: submitted, paused, cancelled, ended. Beside it: ``leases``, ``rounds`` and ``populations``.

Every function is a part of the caller's transaction (``Database.write`` or ``Database.read``) and hands out frozen
objects, never live rows. An ``owner`` is the dispatcher that must hold the job's lease.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from s2e.jobs import loop
from s2e.words import SPEC_VERSION, JobSpec, to_json
from s2e.words.states import JOB_ENDED, TRIAL_ENDED, TRIAL_IN_FLIGHT
from service.errors import Conflict
from service.lifecycle import check_job
from service.store.changes import emit, lock_job, move_job, move_trials, new_id, utc_now
from service.store.models import Attempt, IdempotencyKey, Job, JobReport, Transition, Trial

# --- what a user asks -------------------------------------------------------------------------------------------------


def create_job(
    session: Session, spec: JobSpec, idempotency_key: str | None = None, request_hash: str = ""
) -> tuple[str, bool]:
    """Submit a job: its id, and whether it is new. Raises Conflict when the key came before with another request."""
    if idempotency_key is None:
        return _insert_job(session, spec), True
    if (known := _job_of_key(session, idempotency_key, request_hash)) is not None:
        return known, False
    try:
        with session.begin_nested():
            job_id = _insert_job(session, spec)
            session.add(
                IdempotencyKey(key=idempotency_key, request_hash=request_hash, job_id=job_id, created_at=utc_now())
            )
    except IntegrityError:  # the same key was committed by another request since we looked
        known = _job_of_key(session, idempotency_key, request_hash)
        if known is None:
            raise
        return known, False
    return job_id, True


def _job_of_key(session: Session, key: str, request_hash: str) -> str | None:
    row = session.get(IdempotencyKey, key)
    if row is not None and row.request_hash != request_hash:
        raise Conflict(f"Idempotency-Key {key[:80]!r} came before with another request body")
    return None if row is None else row.job_id


def _insert_job(session: Session, spec: JobSpec) -> str:
    at = utc_now()
    job = Job(
        id=new_id(),
        name=spec.name,
        state="queued",
        spec=to_json(spec),
        spec_version=SPEC_VERSION,
        n_trials=loop.n_trials(spec),
        n_rounds=loop.n_rounds(spec),
        created_at=at,
    )
    session.add(job)
    session.flush()
    session.execute(insert(Transition).values(job_id=job.id, old=None, new="queued", reason="", at=at))
    emit(session, job, "job", {"state": "queued", "reason": ""})
    return job.id


def cancel_job(session: Session, job_id: str, reason: str = "cancelled by the user") -> None:
    """Ask for the end of a job; it comes at once when nothing trains. Raises NotFound, IllegalTransition."""
    job = lock_job(session, job_id)
    if job.state in ("running", "cancelling") or (job.state == "paused" and _has_in_flight(session, job_id)):
        move_job(session, job, "cancelling", reason)
        return
    _cancel_open_trials(session, job, reason)
    move_job(session, job, "cancelled", reason)


def pause_job(session: Session, job_id: str, reason: str = "paused by the user") -> None:
    """Start no new population; those that train go on to their end. Raises NotFound, IllegalTransition."""
    move_job(session, lock_job(session, job_id), "paused", reason)


def resume_job(session: Session, job_id: str) -> None:
    """Go on where a paused job stopped. Raises NotFound, IllegalTransition."""
    job = lock_job(session, job_id)
    if job.state != "paused":
        check_job(job.state, "queued")
    move_job(session, job, "queued" if job.started_at is None else "running")


# --- beginning and end ------------------------------------------------------------------------------------------------


def start_job(session: Session, job_id: str, owner: str) -> None:
    """A queued job runs from now on; one that a user has moved meanwhile is left as it is."""
    job = lock_job(session, job_id, owner)
    if job.state == "queued":
        move_job(session, job, "running")


def finish_job(session: Session, job_id: str, owner: str, report: Any) -> bool:
    """Write the report and complete the job; False when a user has paused or cancelled it meanwhile."""
    job = lock_job(session, job_id, owner)
    if job.state != "running":
        return False
    job.n_trials = job.n_trials_done  # a comparison that was decided early needs fewer trials than it might have
    session.add(JobReport(job_id=job_id, report=to_json(report), created_at=utc_now()))
    emit(session, job, "report", {})
    move_job(session, job, "completed")
    return True


def finish_cancel(session: Session, job_id: str, owner: str) -> None:
    """End a job that is being cancelled, and every trial of it that is still open."""
    job = lock_job(session, job_id, owner)
    _cancel_open_trials(session, job, job.reason)
    move_job(session, job, "cancelled", job.reason)


def fail_job(session: Session, job_id: str, owner: str, reason: str) -> None:
    """End a job that cannot go on; one that was being cancelled is cancelled, one that has ended is left alone."""
    job = lock_job(session, job_id, owner)
    if job.state in JOB_ENDED:
        return
    new = "cancelled" if job.state == "cancelling" else "failed"
    _cancel_open_trials(session, job, f"the job {new}")
    move_job(session, job, new, reason)


def _has_in_flight(session: Session, job_id: str) -> bool:
    return (
        session.scalar(select(Trial.id).where(Trial.job_id == job_id, Trial.state.in_(TRIAL_IN_FLIGHT)).limit(1))
        is not None
    )


def _cancel_open_trials(session: Session, job: Job, reason: str) -> None:
    trials = session.scalars(
        select(Trial).where(Trial.job_id == job.id, Trial.state.not_in(TRIAL_ENDED)).order_by(Trial.round, Trial.k)
    ).all()
    move_trials(session, job, trials, "cancelled", reason)
    session.execute(
        update(Attempt)
        .where(Attempt.job_id == job.id, Attempt.outcome == "")
        .values(outcome="cancelled", reason=reason, ended_at=utc_now())
    )
