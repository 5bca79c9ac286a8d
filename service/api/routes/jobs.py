"""/jobs: submit, list, look, change the state, follow."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from s2e.parts import KINDS
from s2e.words import parse
from s2e.words.answers import (
    Curves,
    Job,
    JobLabels,
    JobRound,
    JobSchedule,
    JobTrial,
    LogLine,
    Page,
    TrialSchedules,
)
from s2e.words.asks import ChangeIn
from s2e.words.people import READ, SUBMIT
from s2e.words.states import JOB_STATES, TRIAL_STATES
from service.api import curves, events, jobs, labels, logs, schedules, thinned
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
from service.api.formats import (
    CSV,
    JSON,
    MEDIA_TYPES,
    NDJSON,
    PARQUET,
    TEXT,
    also,
    csv_answer,
    format_of,
    one_of,
    table_answer,
)
from service.api.fresh import FRESH, fresh
from service.api.lists import Listing, listing
from service.api.paging import Paging
from service.api.reports import AnyReport, report_out
from service.api.scopes import CallerDep, needs
from service.api.trials import trial_out
from service.store import queries, trial_logs
from service.store.models import EPOCH_NUMBERS

router = APIRouter(prefix="/jobs", tags=["jobs"])
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, pattern=r"^[!-~]+$", description="the same key and body: the same job"),
]
JobKind = Annotated[str | None, Query(json_schema_extra={"enum": list(KINDS)}), one_of(tuple(KINDS), "kind")]
JobSort = Annotated[str, Query(json_schema_extra={"enum": list(queries.JOB_SORTS)}), one_of(queries.JOB_SORTS, "sort")]
TrialSort = Annotated[
    str, Query(json_schema_extra={"enum": list(queries.TRIAL_SORTS)}), one_of(queries.TRIAL_SORTS, "sort")
]
TrialState = Annotated[str | None, Query(json_schema_extra={"enum": list(TRIAL_STATES)}), one_of(TRIAL_STATES, "state")]
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


@router.get("", operation_id="list_jobs", response_model=Page[Job], responses=also(NDJSON))
@needs(READ)
def list_jobs(
    session: ReadSession,
    database: DatabaseDep,
    asked: Annotated[Listing[Job], listing(Job)],
    state: JobState = None,
    kind: JobKind = None,
    name: Annotated[str | None, Query(max_length=120, description="a part of the name, in any case")] = None,
    sort: JobSort = "-created",
) -> Page[Job] | Response:
    """Jobs, newest first unless told. As ndjson all of them, one a line."""
    return asked.answer(
        session,
        database,
        lambda session, limit, after: queries.jobs(session, limit, after, state, kind=kind, name=name, sort=sort),
        lambda job: queries.job_key(job, sort),
        (str,) if sort.endswith("created") else (str, str),
        lambda session, shown: jobs.jobs_out(session, shown, asked.wants),
    )


@router.get("/{job_id}", operation_id="get_job", **FRESH)
@needs(READ)
def get_job(session: ReadSession, job_id: JobId) -> Job:
    """One job with its progress."""
    return jobs.get(session, job_id)


@router.patch("/{job_id}", operation_id="change_job", openapi_extra=body_schema("ChangeIn"))
@needs(SUBMIT)
def change_job(session: WriteSession, job_id: JobId, body: JsonBody) -> Job:
    """Change the priority of a job, among those of its owner."""
    return jobs.change(session, job_id, parse(ChangeIn, body))


@router.delete("/{job_id}", operation_id="delete_job", status_code=204)
@needs(SUBMIT)
def delete_job(request: Request, database: DatabaseDep, settings: SettingsDep, job_id: JobId) -> None:
    """Delete a job that has ended, with all its rows and its files. 409 for one that has not: cancel it first."""
    jobs.delete(database, settings.artifacts, job_id, lambda session: record_action(request, session))


@router.post("/{job_id}/cancel", operation_id="cancel_job")
@needs(SUBMIT)
def cancel_job(session: WriteSession, job_id: JobId) -> Job:
    """End a job: at once when nothing of it runs, else as soon as its trials have stopped."""
    return jobs.cancel(session, job_id)


@router.post("/{job_id}/pause", operation_id="pause_job")
@needs(SUBMIT)
def pause_job(session: WriteSession, job_id: JobId) -> Job:
    """Pause a job: its trainings stop at their next epoch, and go on from there when it is resumed."""
    return jobs.pause(session, job_id)


@router.post("/{job_id}/resume", operation_id="resume_job")
@needs(SUBMIT)
def resume_job(session: WriteSession, job_id: JobId) -> Job:
    """Go on with a paused job."""
    return jobs.resume(session, job_id)


@router.post("/{job_id}/retry", operation_id="retry_job")
@needs(SUBMIT)
def retry_job(session: WriteSession, job_id: JobId) -> Job:
    """Try a failed job again: trials that succeeded are kept, and only those that failed or never began are trained."""
    return jobs.retry(session, job_id)


@router.get("/{job_id}/rounds", operation_id="list_rounds", response_model=Page[JobRound], **fresh(NDJSON))
@needs(READ)
def list_rounds(
    session: ReadSession,
    database: DatabaseDep,
    job: ExistingJob,
    asked: Annotated[Listing[JobRound], listing(JobRound)],
) -> Page[JobRound] | Response:
    """Rounds in order, each with theta and the fan of R(t) under it. As ndjson all of them, one a line."""
    return asked.answer(
        session,
        database,
        lambda session, limit, after: queries.rounds(session, job.id, limit, after),
        lambda row: (row[0].round,),
        (int,),
        lambda _, shown: [jobs.round_out(job, *row) for row in shown],
    )


@router.get("/{job_id}/trials", operation_id="list_trials", response_model=Page[JobTrial], **fresh(NDJSON))
@needs(READ)
def list_trials(
    session: ReadSession,
    database: DatabaseDep,
    job: ExistingJob,
    asked: Annotated[Listing[JobTrial], listing(JobTrial)],
    round_: Annotated[int | None, Query(alias="round", ge=0, lt=2**31)] = None,
    label: Annotated[str | None, Query(max_length=40, pattern=r"^[ -~]*$")] = None,
    state: TrialState = None,
    sort: TrialSort = queries.PLACE,
) -> Page[JobTrial] | Response:
    """Trials without their curves, by (round, k) unless told. As ndjson all of them, one a line."""
    specs = asked.wants("train", "share")
    return asked.answer(
        session,
        database,
        lambda session, limit, after: queries.trials(
            session, job.id, limit, after, round_, label, state=state, sort=sort, specs=specs
        ),
        lambda trial: queries.trial_key(trial, sort),
        (int, int) if sort.endswith(queries.PLACE) else (float, int, int),
        lambda _, shown: [trial_out(trial, asked.wanted) for trial in shown],
    )


@router.get("/{job_id}/schedules", operation_id="list_schedules", response_model=TrialSchedules, **FRESH)
@needs(READ)
def list_schedules(
    response: Response,
    session: ReadSession,
    job: ExistingJob,
    max_points: MaxPoints = 60,
    since: Annotated[
        int | None, Query(ge=0, lt=2**63, description="last_event_id of an earlier answer: only what has changed")
    ] = None,
    digits: Annotated[int | None, Query(ge=1, le=17, description="decimals of R(t); all unless given")] = None,
) -> Response:
    """R(t) of every trial, thinned to the same epochs; with since, of those that changed or came behind it."""
    pieces = thinned.schedules_json(session, job, max_points, since, digits)
    return StreamingResponse(pieces, headers=dict(response.headers), media_type=MEDIA_TYPES[JSON])


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


@router.get("/{job_id}/curves", operation_id="list_curves", response_model=Curves, **fresh(CSV, PARQUET))
@needs(READ)
def list_curves(
    session: ReadSession,
    job: ExistingJob,
    wanted: Annotated[str, format_of(JSON, CSV, PARQUET)],
    metric: CurveName = "test_accuracy",
    max_points: MaxPoints = 120,
) -> Curves | Response:
    """One number of every epoch: its mean and range over the trials of each label (in a comparison: of each entry)."""
    shown = curves.curves_out(session, job, metric, max_points)
    return shown if wanted == JSON else table_answer(wanted, *curves.table(shown), f"curves-{metric}-{job.id}")


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
    audit = labels.audit_of(session, settings.artifacts, job, asked.score)
    return labels.page(audit, asked, paging) if wanted == JSON else labels.table(audit, asked, wanted, job.id)


@router.get("/{job_id}/logs", operation_id="list_job_logs", response_model=Page[LogLine], responses=also(TEXT))
@needs(READ)
def list_job_logs(
    session: ReadSession, job: ExistingJob, paging: Paging, wanted: Annotated[str, format_of(JSON, TEXT)]
) -> Page[LogLine] | Response:
    """The log of a job in order: its states, what its check logged, and which trials failed or were lost, and why. The
    log of each trial is at /trials/{id}/logs. As text all of it."""
    return logs.answer(trial_logs.of_job(session, job.id), paging, wanted)


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
