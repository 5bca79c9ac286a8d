"""/jobs: submit, list, look, change the state, follow."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from s2e.words.answers import Curves, Job, JobLabels, JobRound, JobSchedule, JobTrial, Page, TrialSchedules
from s2e.words.people import READ, SUBMIT
from s2e.words.states import JOB_STATES
from service.api import curves, events, jobs, labels, schedules
from service.api.body import JsonBody, body_schema
from service.api.callers import Callers
from service.api.deps import (
    DatabaseDep,
    ExistingJob,
    JobId,
    MaxPoints,
    ReadSession,
    SettingsDep,
    WriteSession,
    record_action,
)
from service.api.formats import CSV, JSON, PARQUET, also, csv_answer, format_of, one_of
from service.api.fresh import FRESH
from service.api.paging import Paging
from service.api.reports import AnyReport, report_out
from service.api.scopes import CallerDep, needs
from service.api.trials import trial_out
from service.store import queries
from service.store.models import EPOCH_NUMBERS

router = APIRouter(prefix="/jobs", tags=["jobs"])
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, pattern=r"^[!-~]+$", description="the same key and body: the same job"),
]
JobState = Annotated[str | None, Query(json_schema_extra={"enum": list(JOB_STATES)}), one_of(JOB_STATES, "state")]
CurveName = Annotated[str, Query(json_schema_extra={"enum": list(EPOCH_NUMBERS)}), one_of(EPOCH_NUMBERS, "metric")]
_SEEN = {200: {"model": Job, "description": "The job this Idempotency-Key made before"}}


@router.post(
    "",
    operation_id="create_job",
    status_code=201,
    responses=_SEEN,  # type: ignore[arg-type]
    openapi_extra=body_schema("JobSpec"),
)
@needs(SUBMIT)
def create_job(
    request: Request,
    session: WriteSession,
    settings: SettingsDep,
    caller: CallerDep,
    body: JsonBody,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Submit a job. The same Idempotency-Key with the same body answers 200 with the same job."""
    job, created = jobs.submit(session, body, idempotency_key, settings, caller.owner)
    if created:
        request.state.target = job.id
    else:
        request.state.action = None
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return job


@router.get("", operation_id="list_jobs")
@needs(READ)
def list_jobs(session: ReadSession, paging: Paging, state: JobState = None) -> Page[Job]:
    """Jobs, newest first."""
    rows = queries.jobs(session, paging.limit, paging.after(str), state)
    return paging.page(rows, lambda job: (job.id,), lambda shown: jobs.jobs_out(session, shown))


@router.get("/{job_id}", operation_id="get_job", **FRESH)
@needs(READ)
def get_job(session: ReadSession, job_id: JobId) -> Job:
    """One job with its progress."""
    return jobs.get(session, job_id)


@router.delete("/{job_id}", operation_id="delete_job", status_code=204)
@needs(SUBMIT)
def delete_job(request: Request, database: DatabaseDep, settings: SettingsDep, job_id: JobId) -> None:
    """Delete a job that has ended, with all its rows and its files. 409 for one that has not: cancel it first."""
    jobs.delete(database, settings.artifact_root, job_id, lambda session: record_action(request, session))


@router.post("/{job_id}/cancel", operation_id="cancel_job")
@needs(SUBMIT)
def cancel_job(session: WriteSession, job_id: JobId) -> Job:
    """End a job: at once when nothing of it runs, else as soon as its trials have stopped."""
    return jobs.cancel(session, job_id)


@router.post("/{job_id}/pause", operation_id="pause_job")
@needs(SUBMIT)
def pause_job(session: WriteSession, job_id: JobId) -> Job:
    """Start nothing more of a job; what trains goes on to its end."""
    return jobs.pause(session, job_id)


@router.post("/{job_id}/resume", operation_id="resume_job")
@needs(SUBMIT)
def resume_job(session: WriteSession, job_id: JobId) -> Job:
    """Go on with a paused job."""
    return jobs.resume(session, job_id)


@router.post("/{job_id}/retry", operation_id="retry_job")
@needs(SUBMIT)
def retry_job(session: WriteSession, job_id: JobId) -> Job:
    """Try a failed job again: what ended well is kept, and only what failed or was not begun is trained."""
    return jobs.retry(session, job_id)


@router.get("/{job_id}/rounds", operation_id="list_rounds", **FRESH)
@needs(READ)
def list_rounds(session: ReadSession, job: ExistingJob, paging: Paging) -> Page[JobRound]:
    """Rounds in order, each with theta and the fan of R(t) under it."""
    rows = queries.rounds(session, job.id, paging.limit, paging.after(int))
    return paging.page(rows, lambda row: (row[0].round,), lambda shown: [jobs.round_out(job, *row) for row in shown])


@router.get("/{job_id}/trials", operation_id="list_trials", **FRESH)
@needs(READ)
def list_trials(
    session: ReadSession,
    job: ExistingJob,
    paging: Paging,
    round_: Annotated[int | None, Query(alias="round", ge=0, lt=2**31)] = None,
    label: Annotated[str | None, Query(max_length=40, pattern=r"^[ -~]*$")] = None,
) -> Page[JobTrial]:
    """Trials by (round, k), without their curves."""
    rows = queries.trials(session, job.id, paging.limit, paging.after(int, int), round_, label)
    return paging.page(rows, lambda trial: (trial.round, trial.k), lambda shown: list(map(trial_out, shown)))


@router.get("/{job_id}/schedules", operation_id="list_schedules", **FRESH)
@needs(READ)
def list_schedules(session: ReadSession, job: ExistingJob, max_points: MaxPoints = 60) -> TrialSchedules:
    """R(t) of every trial, thinned to the same epochs."""
    return schedules.schedules_out(session, job, max_points)


@router.get("/{job_id}/schedule", operation_id="get_schedule", response_model=JobSchedule, responses=also(CSV))
@needs(READ)
def get_schedule(
    session: ReadSession, job: ExistingJob, wanted: Annotated[str, format_of(JSON, CSV)]
) -> JobSchedule | Response:
    """The recommended R(t), one value per epoch; provisional while the job runs. 404 for a comparison."""
    schedule = schedules.schedule_out(session, job)
    if wanted == CSV:
        return csv_answer(("epoch", "keep_rate"), enumerate(schedule.keep_rate), f"schedule-{job.id}")
    return schedule


@router.get("/{job_id}/report", operation_id="get_report", **FRESH)
@needs(READ)
def get_report(session: ReadSession, job: ExistingJob) -> AnyReport:
    """The job's report, of a search or a comparison by ``kind``; 404 until the job has completed."""
    return report_out(session, job)


@router.get("/{job_id}/curves", operation_id="list_curves", **FRESH)
@needs(READ)
def list_curves(
    session: ReadSession, job: ExistingJob, metric: CurveName = "test_accuracy", max_points: MaxPoints = 120
) -> Curves:
    """One number of every epoch: its mean and range over the trials of each label (in a comparison: of each entry)."""
    return curves.curves_out(session, job, metric, max_points)


@router.get("/{job_id}/labels", operation_id="list_labels", response_model=JobLabels, responses=also(CSV, PARQUET))
@needs(READ)
def list_labels(
    session: ReadSession,
    settings: SettingsDep,
    job: ExistingJob,
    paging: Paging,
    asked: Annotated[labels.Asked, Depends()],
    wanted: Annotated[str, format_of(JSON, CSV, PARQUET)],
) -> JobLabels | Response:
    """The job's given labels, the one that is most likely wrong first; as a table, all that were asked for. 404 where
    nothing is known of them: labels of a benchmark, or no training that has ended."""
    found = labels.audit_of(session, settings.artifact_root, job, asked.score)
    return labels.page(found, asked, paging) if wanted == JSON else labels.table(found, asked, wanted, job.id)


def _last_seen(
    database: DatabaseDep,
    job_id: JobId,
    header: Annotated[int | None, Header(alias="Last-Event-ID", ge=0, lt=2**63)] = None,
    last_event_id: Annotated[
        int | None, Query(ge=0, lt=2**63, description="for a client that cannot send the header")
    ] = None,
) -> int:
    """The last event a client has seen. Answers 404 for no such job and 204 (do not come back) when nothing follows."""
    last_id = header if header is not None else last_event_id or 0
    if events.nothing_follows(database, job_id, last_id):
        raise HTTPException(204)
    return last_id


def _stopping(request: Request) -> threading.Event:
    stopping: threading.Event = request.app.state.stopping
    return stopping


@router.get(
    "/{job_id}/events",
    operation_id="follow_job",
    response_class=EventSourceResponse,
    responses={204: {"description": "The job has ended and every event of it was seen"}},
)
@needs(READ)
async def follow_job(
    request: Request,
    database: DatabaseDep,
    caller: CallerDep,
    job_id: JobId,
    last_id: Annotated[int, Depends(_last_seen)],
    stopping: Annotated[threading.Event, Depends(_stopping)],
) -> AsyncIterable[ServerSentEvent]:
    """Events of a job (job, round, trial, epochs, report), from the first or behind the last seen, until its end."""
    callers: Callers = request.app.state.callers
    with request.app.state.metrics.streams.track_inprogress():
        async for event in events.stream(database, job_id, last_id, stopping, lambda: callers.still_may(caller)):
            yield event
