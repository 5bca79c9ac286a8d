"""Jobs: submitted, paused, cancelled, ended. Beside it: ``leases``, ``rounds`` and ``populations``.

Every function is a part of the caller's transaction (``Database.write`` or ``Database.read``) and hands out frozen
objects, never live rows. An ``owner`` is the dispatcher that must hold the job's lease.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from s2e.jobs import loop
from s2e.words import SPEC_VERSION, DataSpec, Estimate, JobSpec, PlanSpec, to_json
from s2e.words.states import JOB_ENDED, JOB_TRANSITIONS, TRIAL_ENDED, TRIAL_IN_FLIGHT
from service.errors import Conflict, IllegalTransition
from service.store.changes import clean, emit, lock_job, move_job, move_trials, new_id, utc_now
from service.store.models import Attempt, IdempotencyKey, Job, JobEvent, JobReport, SearchRound, Transition, Trial

# --- what a user asks -------------------------------------------------------------------------------------------------


def create_job(
    session: Session, spec: JobSpec, idempotency_key: str | None = None, request_hash: str = "", owner: str = ""
) -> tuple[str, bool]:
    """Submit a job: its id, and whether it is new. Raises Conflict when the key came before with another request."""
    if idempotency_key is None:
        return _insert_job(session, spec, owner), True
    if (known := _job_of_key(session, owner, idempotency_key, request_hash)) is not None:
        return known, False
    try:
        with session.begin_nested():
            job_id = _insert_job(session, spec, owner)
            key = _stored_key(owner, idempotency_key)
            session.add(IdempotencyKey(key=key, request_hash=request_hash, job_id=job_id, created_at=utc_now()))
    except IntegrityError:  # the same key was committed by another request since we looked
        known = _job_of_key(session, owner, idempotency_key, request_hash)
        if known is None:
            raise
        return known, False
    return job_id, True


def _stored_key(owner: str, key: str) -> str:
    """Every owner has idempotency keys of their own."""
    return hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest() if owner else key


def _job_of_key(session: Session, owner: str, key: str, request_hash: str) -> str | None:
    row = session.get(IdempotencyKey, _stored_key(owner, key))
    if row is not None and row.request_hash != request_hash:
        raise Conflict(f"Idempotency-Key {key[:80]!r} came before with another request body")
    return None if row is None else row.job_id


def _insert_job(session: Session, spec: JobSpec, owner: str) -> str:
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
        owner=owner,
        priority=spec.priority,
    )
    session.add(job)
    session.flush()
    session.execute(insert(Transition).values(job_id=job.id, old=None, new="queued", reason="", at=at))
    emit(session, job, "job", {"state": "queued", "reason": ""})
    return job.id


def cancel_job(session: Session, job_id: str, reason: str = "cancelled by the user") -> None:
    """Ask for the end of a job; it comes at once when nothing trains. Raises NotFound, IllegalTransition."""
    job = lock_job(session, job_id)
    if job.state in ("checking", "running", "blocked", "cancelling") or (
        job.state == "paused" and _has_in_flight(session, job_id)
    ):
        move_job(session, job, "cancelling", reason)
        return
    _cancel_open_trials(session, job, reason)
    move_job(session, job, "cancelled", reason)


def pause_job(session: Session, job_id: str, reason: str = "paused by the user") -> None:
    """Start no new population; those that train stop at their next epoch, to go on from there. Raises NotFound,
    IllegalTransition."""
    move_job(session, lock_job(session, job_id), "paused", reason)


def resume_job(session: Session, job_id: str) -> None:
    """Go on where a paused job stopped. Raises NotFound, IllegalTransition."""
    job = lock_job(session, job_id)
    if job.state != "paused":  # a failed job may be queued too, but by a retry only
        raise IllegalTransition("job", job.state, "running", sorted(JOB_TRANSITIONS[job.state]))
    move_job(session, job, "queued" if job.started_at is None else "running")


def change_priority(session: Session, job_id: str, priority: int) -> None:
    """Let a job come sooner or later than the others of its owner. Raises NotFound; Conflict for one that has ended."""
    job = lock_job(session, job_id)
    if job.state in JOB_ENDED:
        raise Conflict(f"job {job_id} is {job.state}: nothing of it waits for a place")
    if job.priority != priority:
        job.priority = priority
        emit(session, job, "job", {"state": job.state, "reason": job.reason})


def retry_job(session: Session, job_id: str) -> None:
    """Try a failed job again: trials that were open when it failed are trained, and those that ended well are kept.

    Trials that failed stay results of the search, unless nothing trained at all: then the first round is tried again,
    and rounds asked for after it are forgotten. Raises NotFound, IllegalTransition.
    """
    job = lock_job(session, job_id)
    if job.state != "failed":
        raise IllegalTransition("job", job.state, "queued", sorted(JOB_TRANSITIONS[job.state]))
    trials = session.scalars(select(Trial).where(Trial.job_id == job_id).order_by(Trial.round, Trial.k)).all()
    anew = not any(trial.state == "succeeded" for trial in trials)
    if anew:
        for table in (Trial, SearchRound):
            session.execute(delete(table).where(table.job_id == job_id, table.round > 0))
        trials = [trial for trial in trials if trial.round == 0]
    again = [trial for trial in trials if trial.state == "cancelled" or (anew and trial.state == "failed")]
    move_trials(session, job, again, "pending", "tried again")
    for trial in again:
        trial.started_at = trial.finished_at = None
    _forget_ends(session, job_id, None if anew else {trial.id for trial in again})
    job.n_trials_done = sum(trial.state in ("succeeded", "failed") for trial in trials)
    job.finished_at = job.started_at = job.estimate = None
    job.stop = ""
    move_job(session, job, "queued", "tried again")


def _forget_ends(session: Session, job_id: str, trial_ids: set[str] | None) -> None:
    """Remove ends that a retry has undone from the event stream, which a reader may begin again; transitions keep them.
    None: of all trials."""
    rows = session.execute(select(JobEvent.id, JobEvent.kind, JobEvent.data).where(JobEvent.job_id == job_id)).all()
    gone = [
        i
        for i, kind, data in rows
        if trial_ids is None or kind == "job" or (kind == "trial" and data["id"] in trial_ids)
    ]
    for first in range(0, len(gone), 500):
        session.execute(delete(JobEvent).where(JobEvent.id.in_(gone[first : first + 500])))


# --- beginning and end ------------------------------------------------------------------------------------------------


def check_job_first(session: Session, job_id: str, owner: str) -> None:
    """A worker looks at a queued job first; one that a user has moved meanwhile is left as it is."""
    job = lock_job(session, job_id, owner)
    if job.state == "queued":
        move_job(session, job, "checking")


def start_job(session: Session, job_id: str, owner: str, estimate: Estimate | None = None) -> None:
    """A queued or checked job runs from now on; one that a user has moved meanwhile is left as it is."""
    job = lock_job(session, job_id, owner)
    if estimate is not None:
        job.estimate = to_json(estimate)
    if job.state in ("queued", "checking", "blocked"):
        move_job(session, job, "running")


def know_data(session: Session, job_id: str, owner: str, data: DataSpec) -> None:
    """Write what a check learned about the labels into the spec, before the first round: all that follows is a function
    of it."""
    job = lock_job(session, job_id, owner)
    known = {name: to_json(getattr(data, name)) for name in ("estimate", "unestimated", "trusted")}
    job.spec = {**job.spec, "data": {**job.spec["data"], **known}}


def know_sizes(session: Session, job_id: str, owner: str, spec: JobSpec) -> None:
    """The sizes that a worker has proposed become part of the spec, before anything else is learned."""
    job = lock_job(session, job_id, owner)
    job.spec = to_json(spec)


def know_plan(session: Session, job_id: str, owner: str, plan: PlanSpec) -> None:
    """The plan that a worker has chosen becomes part of the spec, before the first round."""
    job = lock_job(session, job_id, owner)
    job.spec = {**job.spec, "plan": to_json(plan)}


def block_job(session: Session, job_id: str, owner: str, reason: str) -> None:
    """No place can train the job now, for ``reason``; one that a user has moved meanwhile is left as it is."""
    job = lock_job(session, job_id, owner)
    reason = clean(reason)
    if job.state in ("queued", "checking", "running"):
        move_job(session, job, "blocked", reason)
    elif job.state == "blocked" and job.reason != reason:
        job.reason = reason
        emit(session, job, "job", {"state": "blocked", "reason": reason})


def unblock_job(session: Session, job_id: str, owner: str) -> None:
    """The job can go on: it has again whatever it lacked."""
    job = lock_job(session, job_id, owner)
    if job.state == "blocked":
        move_job(session, job, "running" if job.estimate is not None else "checking")


def halve_check(session: Session, job_id: str, owner: str, most: int) -> None:
    """The check ran out of memory: no population has more than ``most`` trials from now on."""
    lock_job(session, job_id, owner).population = most


def spend(session: Session, job_id: str, device_s: float) -> None:
    """Add to the time that a job has used of the places; it is locked already."""
    session.get_one(Job, job_id).device_s += device_s


def stop_job(session: Session, job_id: str, owner: str, reason: str) -> None:
    """A budget is used up: open trials are not trained, and the report is made of the finished ones. A job that a user
    has moved meanwhile is left as it is."""
    job = lock_job(session, job_id, owner)
    if job.state == "blocked":
        move_job(session, job, "running")
    if job.state == "running":
        job.stop = reason
        _cancel_open_trials(session, job, reason)


def finish_job(session: Session, job_id: str, owner: str, report: Any, reason: str = "") -> bool:
    """Write the report and complete the job; False when a user has paused or cancelled it meanwhile."""
    job = lock_job(session, job_id, owner)
    if job.state != "running":
        return False
    job.n_trials = job.n_trials_done  # a comparison that was decided early needs fewer trials than it might have
    session.add(JobReport(job_id=job_id, report=to_json(report), created_at=utc_now()))
    emit(session, job, "report", {})
    move_job(session, job, "completed", reason)
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
