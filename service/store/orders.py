"""Orders: each question or message of an external trainer is one, and has one answer.

:func:`carry_out` does one order in a transaction of its own and gives the reason of a refusal;
:mod:`service.store.together` does plain ones in batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from s2e.words import EpochMetrics, Problem, SpecError, TrialResult
from s2e.words.asks import LEASE_S, EpochIn
from service.store import external, queries
from service.store.external import Reported
from service.store.models import Attempt, Trial
from workers.backend import PopulationKey, PopulationLost


@dataclass(frozen=True, eq=False, kw_only=True)
class Ask:
    """Lease up to ``n_trials`` of a job."""

    job_id: str
    n_trials: int
    worker: str
    lease_s: float
    key: str | None
    """Idempotency key."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Report:
    """Epochs of a leased trial, or with none of them a sign of life."""

    trial_id: str
    lease: str
    lease_s: float
    epochs: Sequence[EpochIn]


@dataclass(frozen=True, eq=False, kw_only=True)
class End:
    """The end of a leased trial: succeeded, failed or lost."""

    trial_id: str
    lease: str
    outcome: str
    reason: str
    validation_accuracy: float | None


Order = Ask | Report | End


@dataclass(frozen=True)
class Grant:
    """A trial as it was leased."""

    id: str
    round: int
    k: int
    label: str
    repeat: int
    attempt: int
    lease: str
    lease_until: datetime
    spec: dict[str, Any]


@dataclass(frozen=True)
class Granted:
    """The job's state, and the trials that were leased."""

    job_state: str
    grants: tuple[Grant, ...]


Answer = Granted | Reported


def carry_out(session: Session, order: Order, max_attempts: int) -> Answer:
    """One order. Raises NotFound, Conflict, Invalid, SpecError."""
    match order:
        case Ask():
            state, leased = external.ask(
                session, order.job_id, order.n_trials, order.worker, order.lease_s, max_attempts, order.key
            )
            return Granted(state, tuple(_grant(trial, attempt) for trial, attempt in leased))
        case Report():
            rows = _metrics(queries.trial(session, order.trial_id), order.epochs)
            return external.report(session, order.lease, order.trial_id, order.lease_s, max_attempts, epochs=rows)
        case End():
            end = _end(session, queries.trial(session, order.trial_id), order)
            return external.report(session, order.lease, order.trial_id, LEASE_S, max_attempts, end=end)


def metrics_of(k: int, keep_rate: float, row: EpochIn) -> EpochMetrics:
    """A reported epoch as the engine would have written it."""
    numbers = vars(row) | {"kept": keep_rate if row.kept is None else row.kept}
    return EpochMetrics(k=k, keep_rate=keep_rate, **numbers)


def _grant(trial: Trial, attempt: Attempt) -> Grant:
    return Grant(
        id=trial.id,
        round=trial.round,
        k=trial.k,
        label=trial.label,
        repeat=trial.repeat,
        attempt=attempt.attempt,
        lease=attempt.lease or "",
        lease_until=attempt.lease_until or attempt.created_at,
        spec=trial.spec,
    )


def _end(session: Session, trial: Trial, order: End) -> TrialResult | PopulationLost:
    if order.outcome == "lost":
        key = PopulationKey(trial.job_id, trial.round, trial.group, trial.attempt)
        return PopulationLost(key, order.reason or "given back", retryable=True)
    if order.outcome == "failed":
        return TrialResult(trial.round, trial.k, failed=True, reason=order.reason or "failed")
    return external.result(session, order.lease, order.trial_id, order.validation_accuracy)


def _metrics(trial: Trial, epochs: Sequence[EpochIn]) -> list[EpochMetrics]:
    """Rows for the store. Raises SpecError for an epoch the schedule does not have."""
    keep_rate: list[float] = trial.spec["keep_rate"]
    allowed = f"0 to {len(keep_rate) - 1}, as long as the schedule"
    wrong = [
        Problem(f"epochs[{i}].epoch", row.epoch, allowed) for i, row in enumerate(epochs) if row.epoch >= len(keep_rate)
    ]
    if wrong:
        raise SpecError(*wrong)
    return [metrics_of(trial.k, keep_rate[row.epoch], row) for row in epochs]
