"""Dependencies of endpoints. Sessions end before the answer is sent: a failed commit can never look like a 200."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from pydantic import AfterValidator
from sqlalchemy.orm import Session

from service.errors import NotFound
from service.settings import Settings
from service.store import audit, queries
from service.store.engine import Database
from service.store.models import Job, Trial

_ID = re.compile("[0-9A-Za-z-]{1,36}")


# Asynchronous where nothing waits: FastAPI runs any other dependency in a thread, which costs more than it does.
async def get_database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def get_settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


DatabaseDep = Annotated[Database, Depends(get_database)]
SettingsDep = Annotated[Settings, Depends(get_settings)]


def _read(database: DatabaseDep) -> Iterator[Session]:
    with database.read() as session:
        yield session


def _write(request: Request, database: DatabaseDep) -> Iterator[Session]:
    with database.write() as session:
        yield session
        record_action(request, session)


def record_action(request: Request, session: Session) -> None:
    """Record the caller's change in its own transaction; nothing for a request that changes nothing of its own."""
    action = getattr(request.state, "action", None)
    if action is None:
        return
    caller, path = request.state.caller, request.path_params
    target = getattr(request.state, "target", "") or next(iter(path.values()), "")
    address = request.client.host if request.client else ""
    audit.record(session, caller.owner, caller.key_id, action, target, request_id_of(request), address)


def request_id_of(request: Request) -> str:
    """The id under which the log has the request."""
    return str(getattr(request.state, "request_id", ""))


ReadSession = Annotated[Session, Depends(_read, scope="function")]
WriteSession = Annotated[Session, Depends(_write, scope="function")]


def is_id(text: str) -> bool:
    """True if something may have this id."""
    return _ID.fullmatch(text) is not None


def _id_of(what: str) -> AfterValidator:
    """Whatever cannot be an id is an address where nothing is, not a bad parameter; and no database sees it."""

    def check(text: str) -> str:
        if not is_id(text):
            raise NotFound(what, text)
        return text

    return AfterValidator(check)


JobId = Annotated[str, Path(description="id of a job"), _id_of("job")]
WebhookId = Annotated[str, Path(description="id of a webhook"), _id_of("webhook")]
TrialId = Annotated[str, Path(description="id of a trial"), _id_of("trial")]
MaxPoints = Annotated[int, Query(ge=2, le=10_000, description="most points of a series; first and last are kept")]


def _job(session: ReadSession, job_id: JobId) -> Job:
    return queries.job(session, job_id)


def _trial(session: ReadSession, trial_id: TrialId) -> Trial:
    return queries.trial(session, trial_id)


ExistingJob = Annotated[Job, Depends(_job)]
ExistingTrial = Annotated[Trial, Depends(_trial)]
