"""The API process: reads and writes the database, serves the dashboard and the event stream. No torch, no Ray."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.routing import BaseRoute

import s2e
from service.api import openapi, problems
from service.api.access import Access
from service.api.auth import KeyRing, check_exposure
from service.api.callers import Callers
from service.api.direct import Application, Direct
from service.api.metrics import Metrics
from service.api.middleware import BodyLimit, Compressed, Gate, HeaderLimit, SecurityHeaders
from service.api.operations import BUSIEST, MODULES, PREFIX, operations
from service.api.routes import docs, health
from service.api.scopes import check, undeclared
from service.api.writer import Writer
from service.settings import Settings
from service.store.engine import Database

DASHBOARD = Path(__file__).parents[1] / "dashboard"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Raises ExposedWithoutKeyError for an address beyond loopback without a key."""
    settings = settings or Settings()
    api_key = settings.api_key.get_secret_value() if settings.api_key else None
    check_exposure(settings.host, api_key)
    app = Application(
        _ways(),
        title="S2E",
        summary="Searches the keep-rate schedule R(t) for learning with noisy labels.",
        version=s2e.__version__,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.database = Database(settings.database_url, pool=settings.database_pool, wait_s=settings.database_wait_s)
    ring = KeyRing(api_key) if api_key else None
    app.state.callers = Callers(app.state.database, ring, settings.key_rate_per_s)
    app.state.stopping = threading.Event()
    app.state.metrics = Metrics(app.state.database)
    failed = app.state.metrics.failed_batches.inc
    app.state.writer = Writer(app.state.database, settings.max_attempts, on_failed=failed)
    problems.install(app)
    openapi.install(app)
    app.add_middleware(Compressed)
    uploads = {f"{PREFIX}/uploads": settings.max_upload_bytes}
    app.add_middleware(BodyLimit, limit_bytes=settings.max_body_bytes, wait_s=settings.receive_s, larger=uploads)
    app.add_middleware(Gate, callers=app.state.callers)
    app.add_middleware(HeaderLimit, limit_bytes=settings.max_header_bytes)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Access, metrics=app.state.metrics)  # added last, so outermost: it sees all refusals
    app.router.routes.extend(_routes())
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.stopping.set()
    app.state.writer.close()
    app.state.database.close()


@functools.cache
def _routes() -> list[BaseRoute]:
    """The routes, which every application of a process has in common; each is prepared once, when it is first asked."""
    if missing := undeclared(operations()):
        raise AssertionError(f"operations without a scope: {missing}")
    router, api = APIRouter(), APIRouter(prefix=PREFIX, dependencies=[Depends(check)])
    for module in MODULES:
        api.include_router(module.router)
    router.include_router(api)
    router.include_router(health.router)
    router.include_router(docs.router)
    router.add_api_route("/", _index_page, include_in_schema=False)
    router.add_api_route("/jobs/{job_id}", _job_page, include_in_schema=False)
    router.add_api_route("/datasets", _datasets_page, include_in_schema=False)
    router.mount("/assets", StaticFiles(directory=DASHBOARD), name="assets")
    return router.routes


@functools.cache
def _ways() -> list[Direct]:
    return [Direct(route, PREFIX) for route in BUSIEST]


def _index_page() -> FileResponse:
    return _page("index.html")


def _job_page(job_id: str) -> FileResponse:  # noqa: ARG001 - the page reads it from its address
    return _page("job.html")


def _datasets_page() -> FileResponse:
    return _page("datasets.html")


def openapi_text() -> str:
    """The text of docs/openapi.json: what it says depends on the code only, not on any setting."""
    app = create_app(Settings(host="127.0.0.1", database_url="sqlite://"))
    return json.dumps(openapi.document(app), indent=1, ensure_ascii=False) + "\n"


def _page(name: str) -> FileResponse:
    """A page that browsers fetch again, so that an update of the service is seen at once."""
    return FileResponse(DASHBOARD / name, headers={"Cache-Control": "no-cache"})
