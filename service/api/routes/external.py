"""Ask for schedules and report trainings: for people who train with their own loop (``trials: external``).

These are the service's busiest operations. They read the request themselves: FastAPI's dependencies would cost as much
as the rest of it.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from s2e.words import parse
from s2e.words.answers import Asked, LeasedTrial, ReportedTrial
from s2e.words.asks import AskIn, EpochsIn, ResultIn
from s2e.words.people import WORKER
from service.api.body import body_schema, json_body
from service.api.deps import JobId, TrialId
from service.api.routes.jobs import IdempotencyKey
from service.api.scopes import needs
from service.api.writer import Writer
from service.errors import LeaseExpired
from service.store import queries, quotas
from service.store.engine import Database
from service.store.external import Reported
from service.store.orders import Answer, Ask, End, Grant, Granted, Report

router = APIRouter(tags=["external trials"])


@router.post("/jobs/{job_id}/trials:ask", operation_id="ask_trials", openapi_extra=body_schema("AskIn"))
@needs(WORKER)
async def ask_trials(request: Request, job_id: JobId, idempotency_key: IdempotencyKey = None) -> Asked:
    """Lease trials of an external job. None while a round waits for its last results: ask again in a second."""
    wanted = parse(AskIn, await json_body(request))
    most: int = request.app.state.settings.owner_trials
    if most and (state := await run_in_threadpool(_held_up, request.app.state.database, job_id, most)):
        return Asked(job_state=state, trials=())
    granted = await _writer(request).carry_out(Ask(job_id=job_id, key=idempotency_key, **vars(wanted)))
    assert isinstance(granted, Granted)
    return Asked(job_state=granted.job_state, trials=tuple(map(_leased, granted.grants)))


@router.post("/trials/{trial_id}/epochs", operation_id="report_epochs", openapi_extra=body_schema("EpochsIn"))
@needs(WORKER)
async def report_epochs(request: Request, trial_id: TrialId) -> ReportedTrial:
    """Report epochs of a leased trial and prolong its lease. 409 lease_expired: it was taken back, stop training."""
    told = parse(EpochsIn, await json_body(request))
    return _reported(await _writer(request).carry_out(Report(trial_id=trial_id, **vars(told))))


@router.post("/trials/{trial_id}/result", operation_id="report_result", openapi_extra=body_schema("ResultIn"))
@needs(WORKER)
async def report_result(request: Request, trial_id: TrialId) -> ReportedTrial:
    """End a leased trial; objective: 1 - validation accuracy over the last epochs. Told again, nothing changes."""
    told = parse(ResultIn, await json_body(request))
    return _reported(await _writer(request).carry_out(End(trial_id=trial_id, **vars(told))))


def _held_up(database: Database, job_id: str, most: int) -> str:
    """The state of a job whose owner has as many trials under way as one may have; empty for others."""
    with database.read() as session:
        job = queries.job(session, job_id)
        return "" if quotas.trials_left(session, job.owner, most) else job.state


def _writer(request: Request) -> Writer:
    writer: Writer = request.app.state.writer
    return writer


def _leased(grant: Grant) -> LeasedTrial:
    spec = grant.spec
    return LeasedTrial(
        id=grant.id,
        round=grant.round,
        k=grant.k,
        label=grant.label,
        repeat=grant.repeat,
        attempt=grant.attempt,
        lease=grant.lease,
        lease_until=grant.lease_until,
        keep_rate=tuple(spec["keep_rate"]),
        train=spec["train"],
        point=None if spec["point"] is None else tuple(spec["point"]["values"]),
        init_seed=spec["init_seed"],
        order_seed=spec["order_seed"],
        noise_seed=spec["noise_seed"],
    )


def _reported(told: Answer) -> ReportedTrial:
    """The answer to a report. A stale one was written down (its attempt counts it) and is refused now."""
    assert isinstance(told, Reported)
    if told.stale:
        raise LeaseExpired(told.trial_id, told.attempt, told.stale)
    return ReportedTrial(
        id=told.trial_id,
        state=told.state,
        attempt=told.attempt,
        lease_until=told.lease_until,
        objective=told.objective,
    )
