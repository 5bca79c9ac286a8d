"""/healthz: the process. /readyz: the database, its migrations, and a dispatcher with its places."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError

from s2e.words.answers import Health, Readiness
from service.api.deps import DatabaseDep
from service.errors import Unavailable
from service.store import leases, queries

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="healthz")
def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz", operation_id="readyz")
def readyz(database: DatabaseDep) -> Readiness:
    """The database answers and has the tables this program was written for, and a dispatcher works: a job that is
    submitted now is going to be trained."""
    try:
        with database.read() as session:
            queries.ping(session)
        at_head = database.at_head()
    except SQLAlchemyError as error:
        raise Unavailable(f"the database does not answer: {type(error).__name__}") from error
    if not at_head:
        raise Unavailable("the database schema is out of date; run: s2e migrate")
    with database.read() as session:
        if why := leases.no_dispatcher(session):
            raise Unavailable(why)
    return Readiness(status="ready", database="ok", migrations="head", dispatcher="ok")
