"""A job and all its rows, deleted in pieces: a large one must not keep the lock of the database for seconds.

The job's own row goes last, so a deletion that was interrupted is gone on with by asking for it again.
"""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from s2e.words.states import JOB_ENDED
from service.errors import Conflict
from service.store.changes import lock_job
from service.store.models import Epoch, Job, JobEvent, Trial

EVENTS, TRIALS = 20_000, 100
"""Events, and trials whose epochs, one piece takes."""


def check_deletable(session: Session, job_id: str) -> None:
    """Raises NotFound; Conflict for a job that has not ended."""
    job = lock_job(session, job_id)
    if job.state not in JOB_ENDED:
        raise Conflict(f"job {job_id} is {job.state}; only a job that has ended can be deleted: cancel it first")


def delete_piece(session: Session, job_id: str) -> bool:
    """Delete some rows of an ended job; True with the last of them. Raises NotFound, Conflict."""
    check_deletable(session, job_id)
    events = session.scalars(select(JobEvent.id).where(JobEvent.job_id == job_id).order_by(JobEvent.id).limit(EVENTS))
    if ids := events.all():
        session.execute(delete(JobEvent).where(JobEvent.job_id == job_id, JobEvent.id <= ids[-1]))
        return False
    has_epochs = select(Epoch.trial_id).where(Epoch.trial_id == Trial.id).exists()
    trials = session.scalars(select(Trial.id).where(Trial.job_id == job_id, has_epochs).limit(TRIALS)).all()
    if trials:
        session.execute(delete(Epoch).where(Epoch.trial_id.in_(trials)))
        return False
    session.execute(delete(Job).where(Job.id == job_id))  # the rest goes with it
    return True
