"""Checks for everything that may keep a service from working on this machine, one by one: ``s2e doctor``.

They change nothing and leave nothing behind. Each finding says how to fix it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import httpx
from sqlalchemy import func, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from s2e.files import files_below, is_address, shown
from s2e.words import S2EError, read
from s2e.words.answers import Circuit
from s2e.words.states import JOB_GOES_ON
from service import disk
from service.api.auth import ExposedWithoutKeyError, check_exposure
from service.dispatch.retention import Rules
from service.settings import Settings
from service.store import queries
from service.store.changes import utc_now
from service.store.engine import Database
from service.store.leases import circuits_of
from service.store.models import JOB_LIVE, Job, WorkerRow
from service.store.outage import reason_of

OK, WARNING, WRONG = "ok", "warning", "wrong"
SHORT_KEY = 24
NEEDS_DISPATCHER = (*JOB_GOES_ON, "cancelling")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``state``: ok, warning or wrong."""

    name: str
    state: str
    detail: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Every finding, in the order in which they explain each other."""
    yield from _packages(settings)
    yield _exposure(settings)
    yield from _artifacts(settings.artifacts)
    yield Finding("retention", OK, f"kept: {Rules.of(settings).in_words()}")
    yield _data(settings.data_root)
    yield from _database(settings)
    yield _api(settings)


def _packages(settings: Settings) -> Iterator[Finding]:
    wanted = {"torch": "worker", "ray": "worker"} if settings.backend == "ray" else {}
    for name, extra in {"fastapi": "server", "uvicorn": "server", **wanted}.items():
        try:
            yield Finding(name, OK, version(name))
        except PackageNotFoundError:
            yield Finding(name, WRONG, "not installed", f"pip install 's2e[{extra}]'")


def _exposure(settings: Settings) -> Finding:
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    make = "set S2E_API_KEY to the output of: openssl rand -hex 32"
    try:
        check_exposure(settings.host, key)
    except ExposedWithoutKeyError as error:
        return Finding("api key", WRONG, str(error), make)
    if key and len(key) < SHORT_KEY:
        return Finding("api key", WARNING, f"{len(key)} characters can be guessed", make)
    return Finding("api key", OK, "set" if key else f"none; the service listens on {settings.host} only")


def _artifacts(root: str) -> Iterator[Finding]:
    remedy = "set S2E_ARTIFACT_ROOT to a folder that this user may write to"
    if is_address(root):
        why = disk.store_not_writable(root)
        remedy = "see S2E_ARTIFACT_ROOT, the credentials of the store, and whether its library is installed (s3fs, ...)"
        yield (
            Finding("artifacts", WRONG, why, remedy)
            if why
            else Finding("artifacts", OK, f"{shown(root)} can be written to")
        )
        return
    folder = disk.existing(Path(root))
    if reason := disk.not_writable(folder):
        yield Finding("artifacts", WRONG, f"{folder} cannot be written to: {reason}", remedy)
        return
    yield Finding("artifacts", OK, f"{root} can be written to")
    yield _room(folder, "disk of the artifacts")


def _room(folder: Path, name: str) -> Finding:
    free = disk.free_bytes(folder)
    state = WRONG if free < disk.FULL_BYTES else WARNING if free < disk.LITTLE_BYTES else OK
    return Finding(name, state, f"{free / 1e9:.1f} GB free", "" if state == OK else "delete jobs: s2e delete ID")


def _data(root: Path | None) -> Finding:
    if root is None:
        return Finding("data", OK, "no data root; the digits need none", "set S2E_DATA_ROOT for other data sets")
    try:
        names = sorted(path.name for path in root.iterdir())
    except OSError as error:
        return Finding("data", WRONG, f"{root} cannot be read: {error.strerror}", "set S2E_DATA_ROOT to a folder")
    return Finding("data", OK, f"{root}: {', '.join(names[:12])}{', ...' if names[12:] else ''}")


def _database(settings: Settings) -> Iterator[Finding]:
    if (file := _sqlite_file(settings.database_url)) is not None and not file.exists():
        yield Finding("sqlite database", WRONG, f"there is none at {file} yet", "run: s2e migrate, or s2e serve")
        return
    database = Database(settings.database_url, wait_s=min(settings.database_wait_s, 2.0))
    name = f"{database.engine.dialect.name} database"
    try:
        if not database.at_head():
            yield Finding(name, WRONG, "its schema is not the one of this release", "run: s2e migrate")
            return
        yield _writable(database, name)
        yield from _integrity(database)
        yield from _jobs(database, settings.artifacts)
    except SQLAlchemyError as error:
        detail = reason_of(error) or f"{type(error).__name__}: {str(error)[:200]}"
        yield Finding(name, WRONG, detail, "see S2E_DATABASE_URL, and what else uses it")
    finally:
        database.close()


def _sqlite_file(url: str) -> Path | None:
    parsed = make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _writable(database: Database, name: str) -> Finding:
    with database.write() as session:
        queries.ping_writer(session)
    return Finding(name, OK, "answers, can be written to, and has the newest schema")


def _integrity(database: Database) -> Iterator[Finding]:
    if database.engine.dialect.name != "sqlite":
        return
    with database.read() as session:
        said = session.scalar(text("PRAGMA quick_check(1)"))
    file = Path(database.engine.url.database or "")
    if said != "ok":
        yield Finding("database file", WRONG, str(said)[:200], f"restore {file} from a copy")
    else:
        yield Finding("database file", OK, f"{file}, {file.stat().st_size / 1e6:.1f} MB, sound")
        yield _room(file.parent, "disk of the database")


def _jobs(database: Database, artifact_root: str) -> Iterator[Finding]:
    with database.read() as session:
        waiting = select(func.count()).where(text(f"jobs.{JOB_LIVE}"), Job.state.in_(NEEDS_DISPATCHER))
        led = session.scalar(waiting.where(Job.lease_until > utc_now())) or 0
        n_waiting = session.scalar(waiting) or 0
        places = session.scalars(select(WorkerRow).order_by(WorkerRow.name)).all()
        known = set(session.scalars(select(Job.id)))
    if n_waiting and not led:
        detail = f"{n_waiting} jobs wait or run, and none of them is led"
        yield Finding("dispatcher", WRONG, detail, "start one: s2e serve, or s2e dispatcher")
    else:
        yield Finding("dispatcher", OK, f"{led} of {n_waiting} open jobs are led; {len(places)} places were seen")
    yield from _circuits(places)
    try:
        folders = files_below(artifact_root).folders()
    except (OSError, S2EError):  # what is wrong with it was said already
        return
    if orphans := [name for name in folders if name not in known]:
        names = ", ".join(orphans[:3]) + (", ..." if orphans[3:] else "")
        yield Finding(
            "artifacts of no job", WARNING, f"{len(orphans)} folders: {names}", "delete them if nobody needs them"
        )


def _circuits(places: Sequence[WorkerRow]) -> Iterator[Finding]:
    """Each cause for which jobs get nothing at a place."""
    for place in places:
        for told in read(tuple[Circuit, ...], circuits_of(place)):
            again = "now" if told.next_try is None else f"at {told.next_try:%H:%M:%S} UTC"
            whose = f"; concerns jobs that need {told.need}" if told.need else ""
            detail = f"{told.reason}; since {told.since:%H:%M:%S} UTC, tried again {again}{whose}"
            remedy = f"see the logs of {place.name}; nothing else has to be done once it is mended"
            yield Finding(f"{place.name}: {told.cause}", WARNING, detail, remedy)


def _api(settings: Settings) -> Finding:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    try:
        answer = httpx.get(f"{url}/readyz", timeout=5)
    except httpx.HTTPError as error:
        return Finding("api", WARNING, f"nothing answers at {url} ({type(error).__name__})", "start it: s2e serve")
    if answer.is_success:
        return Finding("api", OK, f"{url} is ready")
    return Finding("api", WRONG, f"{url} answers {answer.status_code}: {answer.text[:200]}", "see its log")
