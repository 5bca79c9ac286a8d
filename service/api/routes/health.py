"""/healthz: the process. /readyz: whether a job would be trained. /metrics: numbers for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as TEXT
from sqlalchemy.exc import SQLAlchemyError

from s2e.words.answers import Health, Readiness
from service import disk
from service.api.deps import DatabaseDep, SettingsDep
from service.api.metrics import Metrics
from service.errors import Unavailable
from service.store import leases, queries
from service.store.outage import reason_of

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="healthz")
def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz", operation_id="readyz")
def readyz(database: DatabaseDep, settings: SettingsDep) -> Readiness:
    """The database can be written to and has the tables this program was written for, the artifact disk has room, and
    a dispatcher works with places that train: a job that is submitted now is going to be trained."""
    try:
        with database.write() as session:
            queries.ping_writer(session)
        at_head = database.at_head()
    except SQLAlchemyError as error:
        reason = reason_of(error) or type(error).__name__
        raise Unavailable(f"the database cannot be written to: {reason}") from error
    if not at_head:
        raise Unavailable("the database schema is out of date; run: s2e migrate")
    if why := disk.trouble(settings.artifacts):
        raise Unavailable(why)
    with database.read() as session:
        if why := leases.no_dispatcher(session) or leases.no_place(session):
            raise Unavailable(why)
    return Readiness(status="ready", database="ok", migrations="head", disk="ok", dispatcher="ok", places="ok")


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {TEXT: {}}, "description": "Numbers for Prometheus"}},
)
def metrics(request: Request) -> Response:
    """Metrics of the service in Prometheus' text format. Needs a key, of any scope, where there are keys."""
    of_app: Metrics = request.app.state.metrics
    return Response(of_app.text(), media_type=TEXT)
