"""Every change of state: the job's row is locked first, the change is checked, and it leaves a row and an event.

All writers of a job queue behind its row, so an event's id grows in the order of the commits a reader sees.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, or_, select
from sqlalchemy.orm import Session

from s2e.words import TrialResult, numbers_of
from s2e.words.states import JOB_ENDED, TRIAL_ENDED
from service.errors import NotFound, ServiceError
from service.lifecycle import check_job, check_trial
from service.store.models import DeliveryRow, Job, Transition, Trial, WebhookRow
from service.store.told import insert_events

LIVE = tuple(number.name for number in numbers_of(TrialResult) if number.live)
"""Numbers of a trial that its events carry."""


class LeaseLostError(ServiceError):
    """Another dispatcher advances this job now; the one that sees this must stop touching it."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """A UUIDv7: 48 bits of milliseconds, 12 of the rest of the time, 62 random. Ids sort by the time they were made."""
    ms, rest_ns = divmod(time.time_ns(), 1_000_000)
    value = ms << 80 | 7 << 76 | (rest_ns * 4096 // 1_000_000) << 64 | 2 << 62 | secrets.randbits(62)
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def clean(text: str) -> str:
    """A reason that every database takes: without NUL, and not a whole log file."""
    return text.replace("\x00", "")[:4000]


def lock_job(session: Session, job_id: str, owner: str | None = None) -> Job:
    """The job's row, locked to the end of the transaction; with ``owner``, only while that dispatcher holds the lease.

    Raises NotFound, LeaseLostError.
    """
    # FOR NO KEY UPDATE on PostgreSQL; left out on SQLite, where the whole transaction is alone.
    job = session.get(Job, job_id, with_for_update={"key_share": True}, populate_existing=True)
    if job is None:
        raise NotFound("job", job_id)
    if owner is not None and job.lease_owner != owner:
        raise LeaseLostError(f"job {job_id} is led by {job.lease_owner or 'nobody'}, not by {owner}")
    return job


def emit(session: Session, job: Job, kind: str, *data: dict[str, Any]) -> None:
    """Write events of the job's stream."""
    at = utc_now()
    rows = [{"job_id": job.id, "kind": kind, "data": d, "at": at} for d in data]
    insert_events(session.connection(), rows)


def move_job(session: Session, job: Job, new: str, reason: str = "") -> None:
    """Change a job's state. Raises IllegalTransition."""
    check_job(job.state, new)
    reason, at = clean(reason), utc_now()
    session.execute(insert(Transition).values(job_id=job.id, old=job.state, new=new, reason=reason, at=at))
    job.state, job.reason = new, reason
    if new == "running" and job.started_at is None:
        job.started_at = at
    if new in JOB_ENDED:
        job.finished_at, job.lease_owner, job.lease_until = at, None, None
    emit(session, job, "job", {"state": new, "reason": reason})
    _announce(session, job, at)


def _announce(session: Session, job: Job, at: datetime) -> None:
    """A message for every webhook that wants to hear of the new state."""
    wants = or_(WebhookRow.owner == job.owner, WebhookRow.everybody)
    hooks = session.execute(select(WebhookRow.id, WebhookRow.states).where(wants)).all()
    told = {"id": job.id, "name": job.name, "owner": job.owner, "state": job.state, "reason": job.reason}
    for webhook_id in [webhook_id for webhook_id, states in hooks if job.state in states.split()]:
        message_id = new_id()
        body = json.dumps({"id": message_id, "kind": "job", "at": at.isoformat(), "job": told})
        row = {"id": message_id, "webhook_id": webhook_id, "job_id": job.id, "body": body}
        session.execute(insert(DeliveryRow).values(**row, created_at=at, due_at=at))


def move_trials(session: Session, job: Job, trials: Sequence[Trial], new: str, reason: str = "") -> None:
    """Change the state of trials of one job. Raises IllegalTransition."""
    reason, at = clean(reason), utc_now()
    rows = []
    for trial in trials:
        check_trial(trial.state, new)
        rows.append(_transition(trial, trial.state, new, reason, at))
        trial.state, trial.reason = new, reason
        if new == "running":
            trial.started_at = at
        if new in TRIAL_ENDED:
            trial.finished_at = at
            job.n_trials_done += new != "cancelled"
    if rows:
        session.execute(insert(Transition), rows)
        emit(session, job, "trial", *(trial_event(trial) for trial in trials))


def record_birth(session: Session, trials: Sequence[Trial]) -> None:
    """The first row in the history of new trials; what the stream says about them is the round."""
    at = utc_now()
    session.execute(insert(Transition), [_transition(trial, None, trial.state, "", at) for trial in trials])


def _transition(trial: Trial, old: str | None, new: str, reason: str, at: datetime) -> dict[str, Any]:
    return {"job_id": trial.job_id, "trial_id": trial.id, "old": old, "new": new, "reason": reason, "at": at}


def trial_event(trial: Trial) -> dict[str, Any]:
    """The event for a trial whose state changed."""
    return {
        "id": trial.id,
        "round": trial.round,
        "k": trial.k,
        "label": trial.label,
        "state": trial.state,
        "share": trial.share,
        **{name: getattr(trial, name) for name in LIVE},
    }
