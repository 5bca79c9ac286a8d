"""Trials that somebody else trains: leased by asking, reported on over REST, taken back when the lease runs out.

The attempt is the fence, as for the dispatcher's populations: each lease belongs to one attempt. Reports under the
lease of an attempt that was given up are counted (``n_stale``) and change nothing. The functions run in the caller's
transaction; they lock the job's row first, so asks and reports of one job queue behind each other.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, select, text
from sqlalchemy.orm import Session

from s2e.outcome import result_of
from s2e.words import EpochMetrics, JobSpec, Problem, TrialResult, TrialSpec, read, replace
from s2e.words.states import TRIAL_IN_FLIGHT
from service.errors import Conflict, Invalid, NotFound
from service.store.changes import clean, lock_job, utc_now
from service.store.models import ATTEMPT_OPEN, EPOCH_NUMBERS, TRIAL_PENDING, Attempt, Epoch, Job, SearchRound, Trial
from service.store.populations import GIVEN_UP, open_attempts, record_events
from service.store.rounds import load_spec
from workers.backend import EpochReported, Event, PopulationFinished, PopulationKey, PopulationLost, PopulationStarted

Leased = list[tuple[Trial, Attempt]]
MOST_KEPT = 256
_specs: dict[str, JobSpec] = {}


@dataclass(frozen=True)
class Reported:
    """Outcome of a report: the trial as it is now, and ``stale``, why its attempt had been given up."""

    trial_id: str
    state: str
    attempt: int
    objective: float | None
    lease_until: datetime | None
    stale: str


def ask(
    session: Session, job_id: str, n_trials: int, worker: str, lease_s: float, max_attempts: int, key: str | None = None
) -> tuple[str, Leased]:
    """Lease up to ``n_trials`` pending trials: the job's state and the trials. The same key gives the same ones again,
    as far as they are still to be trained under it.

    Raises NotFound; Conflict for a job whose trials the service trains itself, and for a key used with another request.
    """
    job = lock_job(session, job_id)
    if external_spec(session, job_id) is None:
        raise Conflict(f"the trials of job {job_id} are trained by the service; only trials = 'external' can be asked")
    names = lease_names(job_id, key, n_trials)
    asked = request_hash(n_trials, worker, lease_s)
    if key is not None and (again := _leased(session, Attempt.lease.in_(names))):
        if any(attempt.request_hash != asked for _, attempt in again):
            raise Conflict(f"Idempotency-Key {key[:80]!r} came before with another request body")
        return job.state, [(trial, attempt) for trial, attempt in again if not attempt.outcome]
    expire_leases(session, job, max_attempts)
    if job.state != "running":
        return job.state, []
    whole = select(SearchRound.id).where(SearchRound.job_id == job_id, SearchRound.round == Trial.round)
    pending = select(Trial).where(Trial.job_id == job_id, text(f"trials.{TRIAL_PENDING}"), whole.exists())
    trials = session.scalars(pending.order_by(Trial.round, Trial.k).limit(n_trials)).all()
    if not trials:
        return job.state, []
    until = utc_now() + timedelta(seconds=lease_s)
    more = {
        "worker": clean(worker)[:200],
        "lease_until": until,
        "request_hash": None if key is None else asked,
    }
    open_attempts(session, job, [(trial, {**more, "lease": name}) for trial, name in zip(trials, names, strict=False)])
    return job.state, _leased(session, Attempt.lease.in_(names))


def report(
    session: Session,
    lease: str,
    trial_id: str,
    lease_s: float,
    max_attempts: int,
    *,
    epochs: Sequence[EpochMetrics] = (),
    end: TrialResult | PopulationLost | None = None,
) -> Reported:
    """Write down epochs, or the end, of a leased trial. A repeated or late report changes nothing.

    Raises NotFound for a lease that never was, or is another trial's; Conflict for an end unlike one told before.
    """
    trial, attempt = _of_lease(session, lease, trial_id)
    job = lock_job(session, trial.job_id)
    expire_leases(session, job, max_attempts)
    trial, attempt = _of_lease(session, lease, trial_id)  # as they are now that nobody else can change them
    if end is not None and attempt.outcome and _was_told(trial, attempt, end):
        return _reported(trial, attempt)
    key = PopulationKey(job.id, trial.round, trial.group, attempt.attempt)
    events: list[Event] = [PopulationStarted(key, attempt.worker)]
    if epochs:
        events.append(EpochReported(key, tuple(epochs)))
    if isinstance(end, TrialResult):
        events.append(PopulationFinished(key, (end,)))
    elif end is not None:
        events.append(PopulationLost(key, end.reason, retryable=True))
    given_up = attempt.outcome in GIVEN_UP
    if not attempt.outcome:
        attempt.lease_until = utc_now() + timedelta(seconds=lease_s)
    record_events(session, job.id, None, events[given_up:], max_attempts)  # counts what comes too late
    return _reported(trial, attempt, (attempt.reason or attempt.outcome) if given_up else "")


def _reported(trial: Trial, attempt: Attempt, stale: str = "") -> Reported:
    until = None if attempt.outcome else attempt.lease_until
    return Reported(trial.id, trial.state, attempt.attempt, trial.objective, until, stale)


def _was_told(trial: Trial, attempt: Attempt, end: TrialResult | PopulationLost) -> bool:
    """True if an attempt that has ended was ended by just this; False for one that was taken back.

    Raises Conflict if the attempt has another end already.
    """
    told: tuple[str, str, float | None]
    if isinstance(end, PopulationLost):
        told = ("lost", clean(end.reason), None)
    else:
        told = ("failed", clean(end.reason), None) if end.failed else ("succeeded", "", end.objective)
    objective = trial.objective if attempt.outcome == "succeeded" else None
    if told == (attempt.outcome, attempt.reason, objective):
        return True
    if attempt.outcome in GIVEN_UP:
        return False
    was = attempt.outcome if objective is None else f"{attempt.outcome} with objective {objective}"
    raise Conflict(f"attempt {attempt.attempt} of trial {trial.id} has ended before: it {was}; another end is refused")


def result(session: Session, lease: str, trial_id: str, validation_accuracy: float | None) -> TrialResult:
    """The end of a leased trial from the epochs reported: means over the job's last epochs.

    ``validation_accuracy`` stands in for epochs that were not reported. Raises NotFound, Invalid when neither is there.
    """
    trial, attempt = _of_lease(session, lease, trial_id)
    spec = external_spec(session, trial.job_id) or load_spec(session, trial.job_id)
    stored = select(Epoch).where(Epoch.trial_id == trial_id, Epoch.attempt == attempt.attempt)
    told = [_metrics(trial, row) for row in session.scalars(stored.order_by(Epoch.epoch))]
    return end_of(read(TrialSpec, trial.spec), told, spec.train.n_epochs, spec.tail_epochs, validation_accuracy)


def end_of(
    trial: TrialSpec, told: Sequence[EpochMetrics], n_epochs: int, tail: int, validation_accuracy: float | None
) -> TrialResult:
    """The end of a trial from the epochs ``told`` of it, in order. Raises Invalid where they are too few."""
    last = [row for row in told if row.epoch >= n_epochs - tail and row.validation_accuracy is not None]
    if validation_accuracy is None and len(last) < tail:
        allowed = f"a number, or reports of validation_accuracy for the last {tail} epochs (found {len(last)})"
        raise Invalid(Problem("validation_accuracy", None, allowed))
    # figures of the whole training, such as the best epoch, need all of it
    ended = TrialResult(trial.round, trial.k)
    if last:
        whole = len(told) == n_epochs
        ended = result_of(trial, told if whole else last, tail)
        ended = ended if whole else replace(ended, final=None)
    if validation_accuracy is None:
        return ended
    return replace(ended, objective=1 - validation_accuracy, validation_accuracy=validation_accuracy)


def external_spec(session: Session, job_id: str) -> JobSpec | None:
    """The spec of a job whose trials somebody else trains, read once: nothing of it changes. Raises NotFound."""
    if job_id not in _specs:
        spec = load_spec(session, job_id)
        if spec.trials != "external":
            return None
        while len(_specs) >= MOST_KEPT:
            _specs.pop(next(iter(_specs)), None)
        _specs[job_id] = spec
    return _specs[job_id]


def has_expired(session: Session, job_id: str) -> bool:
    """True if a lease of the job has run out and its trial is not taken back yet."""
    return session.scalar(select(Attempt.id).where(_expired(job_id)).limit(1)) is not None


def expire_leases(session: Session, job: Job, max_attempts: int) -> None:
    """Take back the trials whose lease ran out: pending again, or failed after ``max_attempts``."""
    events = [
        PopulationLost(PopulationKey(job.id, trial.round, trial.group, attempt.attempt), "its lease ran out", True)
        for trial, attempt in _leased(session, _expired(job.id))
        if trial.state in TRIAL_IN_FLIGHT
    ]
    if events:
        record_events(session, job.id, None, events, max_attempts)


def _expired(job_id: str) -> ColumnElement[bool]:
    return and_(Attempt.job_id == job_id, text(f"attempts.{ATTEMPT_OPEN}"), Attempt.lease_until < utc_now())


def _leased(session: Session, which: ColumnElement[bool]) -> Leased:
    rows = session.execute(
        select(Trial, Attempt)
        .join(Attempt, Attempt.trial_id == Trial.id)
        .where(which)
        .order_by(Trial.round, Trial.k)
        .execution_options(populate_existing=True)
    )
    return [(trial, attempt) for trial, attempt in rows]


def _of_lease(session: Session, lease: str, trial_id: str) -> tuple[Trial, Attempt]:
    rows = _leased(session, (Attempt.lease == lease) & (Attempt.trial_id == trial_id))
    if not rows:
        raise NotFound("lease of this trial", lease)
    return rows[0]


def lease_names(job_id: str, key: str | None, n: int) -> list[str]:
    """Names that cannot be guessed; the same ones for a repeated request, whose key nobody else knows either."""
    if key is None:
        return [secrets.token_urlsafe(24) for _ in range(n)]
    return [hashlib.sha256(f"{job_id}/{i}/{key}".encode()).hexdigest()[:48] for i in range(n)]


def request_hash(n_trials: int, worker: str, lease_s: float) -> str:
    """Tells one request to lease from another."""
    return hashlib.sha256(repr(("ask", n_trials, worker, lease_s)).encode()).hexdigest()


def _metrics(trial: Trial, row: Epoch) -> EpochMetrics:
    """A reported epoch as the engine would have written it."""
    return EpochMetrics(k=trial.k, epoch=row.epoch, **{name: getattr(row, name) for name in EPOCH_NUMBERS})
