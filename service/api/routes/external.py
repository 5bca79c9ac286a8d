"""Ask for schedules and report trainings: for people who train with their own loop (``trials: external``)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from s2e.words import EpochMetrics, Problem, SpecError, TrialResult, parse
from s2e.words.answers import Asked, LeasedTrial, ReportedTrial
from s2e.words.asks import LEASE_S, AskIn, EpochIn, EpochsIn, ResultIn
from s2e.words.people import WORKER
from service.api.body import JsonBody, body_schema
from service.api.deps import DatabaseDep, JobId, SettingsDep, TrialId, WriteSession
from service.api.routes.jobs import IdempotencyKey
from service.api.scopes import needs
from service.errors import LeaseExpired
from service.store import external, queries
from service.store.models import Attempt, Trial
from workers.backend import PopulationKey, PopulationLost

router = APIRouter(tags=["external trials"])


@router.post("/jobs/{job_id}/trials:ask", operation_id="ask_trials", openapi_extra=body_schema("AskIn"))
@needs(WORKER)
def ask_trials(
    session: WriteSession,
    settings: SettingsDep,
    job_id: JobId,
    body: JsonBody,
    idempotency_key: IdempotencyKey = None,
) -> Asked:
    """Lease trials of an external job. None while a round waits for its last results: ask again in a second."""
    wanted = parse(AskIn, body)
    state, leased = external.ask(
        session, job_id, wanted.n_trials, wanted.worker, wanted.lease_s, settings.max_attempts, idempotency_key
    )
    trials = tuple(_leased(trial, attempt) for trial, attempt in leased)
    return Asked(job_state=state, trials=trials)


@router.post("/trials/{trial_id}/epochs", operation_id="report_epochs", openapi_extra=body_schema("EpochsIn"))
@needs(WORKER)
def report_epochs(database: DatabaseDep, settings: SettingsDep, trial_id: TrialId, body: JsonBody) -> ReportedTrial:
    """Report epochs of a leased trial and prolong its lease. 409 lease_expired: it was taken back, stop training."""
    told = parse(EpochsIn, body)
    with database.write() as session:
        rows = _metrics(queries.trial(session, trial_id), told.epochs)
        found = external.report(session, told.lease, trial_id, told.lease_s, settings.max_attempts, epochs=rows)
    return _reported(found)


@router.post("/trials/{trial_id}/result", operation_id="report_result", openapi_extra=body_schema("ResultIn"))
@needs(WORKER)
def report_result(database: DatabaseDep, settings: SettingsDep, trial_id: TrialId, body: JsonBody) -> ReportedTrial:
    """End a leased trial; objective: 1 - validation accuracy over the last epochs. Told again, nothing changes."""
    told = parse(ResultIn, body)
    with database.write() as session:
        trial = queries.trial(session, trial_id)
        end: TrialResult | PopulationLost
        if told.outcome == "lost":
            key = PopulationKey(trial.job_id, trial.round, trial.group, trial.attempt)
            end = PopulationLost(key, told.reason or "given back", retryable=True)
        elif told.outcome == "failed":
            end = TrialResult(trial.round, trial.k, failed=True, reason=told.reason or "failed")
        else:
            end = external.result(session, told.lease, trial_id, told.validation_accuracy)
        found = external.report(session, told.lease, trial_id, LEASE_S, settings.max_attempts, end=end)
    return _reported(found)


def _leased(trial: Trial, attempt: Attempt) -> LeasedTrial:
    spec: dict[str, Any] = trial.spec
    return LeasedTrial(
        id=trial.id,
        round=trial.round,
        k=trial.k,
        label=trial.label,
        repeat=trial.repeat,
        attempt=attempt.attempt,
        lease=attempt.lease or "",
        lease_until=attempt.lease_until or attempt.created_at,
        keep_rate=tuple(spec["keep_rate"]),
        train=spec["train"],
        point=None if spec["point"] is None else tuple(spec["point"]["values"]),
        init_seed=spec["init_seed"],
        order_seed=spec["order_seed"],
        noise_seed=spec["noise_seed"],
    )


def _metrics(trial: Trial, epochs: tuple[EpochIn, ...]) -> list[EpochMetrics]:
    """Rows for the store. Raises SpecError for an epoch the schedule does not have."""
    keep_rate: list[float] = trial.spec["keep_rate"]
    allowed = f"0 to {len(keep_rate) - 1}, as long as the schedule"
    wrong = [
        Problem(f"epochs[{i}].epoch", row.epoch, allowed) for i, row in enumerate(epochs) if row.epoch >= len(keep_rate)
    ]
    if wrong:
        raise SpecError(*wrong)
    return [_metrics_of(trial.k, keep_rate[row.epoch], row) for row in epochs]


def _metrics_of(k: int, keep_rate: float, row: EpochIn) -> EpochMetrics:
    numbers = vars(row) | {"kept": keep_rate if row.kept is None else row.kept}
    return EpochMetrics(k=k, keep_rate=keep_rate, **numbers)


def _reported(found: external.Reported) -> ReportedTrial:
    """The answer to a report. A stale one was written down (its attempt counts it) and is refused now."""
    if found.stale:
        raise LeaseExpired(found.trial_id, found.attempt, found.stale)
    return ReportedTrial(
        id=found.trial_id,
        state=found.state,
        attempt=found.attempt,
        lease_until=found.lease_until,
        objective=found.objective,
    )
