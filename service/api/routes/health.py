"""/healthz: the process. /readyz: the database and its migrations."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError

from service.api import schemas
from service.api.deps import DatabaseDep
from service.errors import Unavailable
from service.store import queries

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="healthz")
def healthz() -> schemas.Health:
    """The process answers."""
    return schemas.Health(status="ok")


@router.get("/readyz", operation_id="readyz")
def readyz(database: DatabaseDep) -> schemas.Readiness:
    """The database answers and has the tables this program was written for."""
    try:
        with database.read() as session:
            queries.ping(session)
        at_head = database.at_head()
    except SQLAlchemyError as error:
        raise Unavailable(f"the database does not answer: {type(error).__name__}") from error
    if not at_head:
        raise Unavailable("the database is not at the newest migration; run: s2e migrate")
    return schemas.Readiness(status="ready", database="ok", migrations="head")
