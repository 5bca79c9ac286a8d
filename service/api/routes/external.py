"""Ask for schedules and report trainings: for people who train with their own loop (``trials: external``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from s2e.words import EpochMetrics, Problem, SpecError, TrialResult, param, parse
from service.api import schemas
from service.api.body import JsonBody, body_schema
from service.api.deps import DatabaseDep, JobId, SettingsDep, TrialId, WriteSession
from service.api.routes.jobs import IdempotencyKey
from service.errors import LeaseExpired
from service.store import external, queries
from service.store.models import Attempt, Trial
from workers.backend import PopulationKey, PopulationLost

router = APIRouter(tags=["external trials"])
LEASE_S = 600.0
_LEASE_DOC = "seconds until the trial is taken back; every report starts them anew"


@dataclass(frozen=True)
class AskIn:
    """How many trials, and for how long."""

    n_trials: int = param(1, ge=1, le=100, doc="most trials to lease")
    worker: str = param("", max_length=200, doc="a name of who trains, for people")
    lease_s: float = param(LEASE_S, ge=1, le=604_800, doc=_LEASE_DOC)


@dataclass(frozen=True)
class EpochIn:
    """One epoch of an external training. Accuracies and shares in [0, 1]; what was not measured is null."""

    epoch: int = param(ge=0, le=9_999, doc="t, from 0")
    validation_accuracy: float | None = param(None, ge=0, le=1, doc="accuracy on validation data: what the search sees")
    test_accuracy: float | None = param(None, ge=0, le=1, doc="accuracy on test data: shown, never fed back")
    loss: float | None = param(None, doc="training loss")
    kept: float | None = param(None, ge=0, le=1, doc="fraction of the mini-batches really kept; null: R(t) as asked")
    label_precision: float | None = param(None, ge=0, le=1, doc="clean among selected")
    label_recall: float | None = param(None, ge=0, le=1, doc="selected among clean")


@dataclass(frozen=True)
class EpochsIn:
    """Epochs of a leased trial; an empty list only prolongs the lease."""

    lease: str = param(max_length=64, doc="the lease of the trial")
    epochs: tuple[EpochIn, ...] = param((), max_length=1_000, doc="epochs, each once; one told again changes nothing")
    lease_s: float = param(LEASE_S, ge=1, le=604_800, doc=_LEASE_DOC)


@dataclass(frozen=True)
class ResultIn:
    """The end of a leased trial."""

    lease: str = param(max_length=64, doc="the lease of the trial")
    outcome: str = param(
        "succeeded",
        choices=("succeeded", "failed", "lost"),
        doc="failed: the training itself went wrong; lost: the place did, and somebody else shall try",
    )
    reason: str = param("", max_length=4_000, doc="why it failed or was lost")
    validation_accuracy: float | None = param(
        None, ge=0, le=1, doc="mean over the last epochs; null: from the epochs reported"
    )


@router.post("/jobs/{job_id}/trials:ask", operation_id="ask_trials", openapi_extra=body_schema("AskIn"))
def ask_trials(
    session: WriteSession,
    settings: SettingsDep,
    job_id: JobId,
    body: JsonBody,
    idempotency_key: IdempotencyKey = None,
) -> schemas.AskOut:
    """Lease trials of an external job. None while a round waits for its last results: ask again in a second."""
    wanted = parse(AskIn, body)
    state, leased = external.ask(
        session, job_id, wanted.n_trials, wanted.worker, wanted.lease_s, settings.max_attempts, idempotency_key
    )
    trials = [_leased(trial, attempt) for trial, attempt in leased]
    return schemas.AskOut(job_state=state, trials=trials)  # type: ignore[arg-type]  # the table allows these names only


@router.post("/trials/{trial_id}/epochs", operation_id="report_epochs", openapi_extra=body_schema("EpochsIn"))
def report_epochs(
    database: DatabaseDep, settings: SettingsDep, trial_id: TrialId, body: JsonBody
) -> schemas.ReportedTrial:
    """Report epochs of a leased trial and prolong its lease. 409 lease_expired: it was taken back, stop training."""
    told = parse(EpochsIn, body)
    with database.write() as session:
        rows = _metrics(queries.trial(session, trial_id), told.epochs)
        found = external.report(session, told.lease, trial_id, told.lease_s, settings.max_attempts, epochs=rows)
    return _reported(found)


@router.post("/trials/{trial_id}/result", operation_id="report_result", openapi_extra=body_schema("ResultIn"))
def report_result(
    database: DatabaseDep, settings: SettingsDep, trial_id: TrialId, body: JsonBody
) -> schemas.ReportedTrial:
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


def _leased(trial: Trial, attempt: Attempt) -> schemas.LeasedTrial:
    spec: dict[str, Any] = trial.spec
    return schemas.LeasedTrial(
        id=trial.id,
        round=trial.round,
        k=trial.k,
        label=trial.label,
        repeat=trial.repeat,
        attempt=attempt.attempt,
        lease=attempt.lease or "",
        lease_until=attempt.lease_until or attempt.created_at,
        keep_rate=spec["keep_rate"],
        train=spec["train"],
        point=None if spec["point"] is None else spec["point"]["values"],
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
    return [
        EpochMetrics(
            k=trial.k,
            epoch=row.epoch,
            loss=row.loss,
            keep_rate=keep_rate[row.epoch],
            kept=keep_rate[row.epoch] if row.kept is None else row.kept,
            label_precision=row.label_precision,
            label_recall=row.label_recall,
            validation_accuracy=row.validation_accuracy,
            test_accuracy=row.test_accuracy,
        )
        for row in epochs
    ]


def _reported(found: external.Reported) -> schemas.ReportedTrial:
    """The answer to a report. A stale one was written down (its attempt counts it) and is refused now."""
    if found.stale:
        raise LeaseExpired(found.trial_id, found.attempt, found.stale)
    return schemas.ReportedTrial(
        id=found.trial_id,
        state=found.state,  # type: ignore[arg-type]  # the table allows these names only
        attempt=found.attempt,
        lease_until=found.lease_until,
        objective=found.objective,
    )
