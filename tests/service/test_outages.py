"""The database locked, full, read-only, cut off, or out of connections: 503, and nothing is lost or doubled."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from s2e.jobs import loop
from service.dispatch.dispatcher import Dispatcher
from service.settings import Settings
from service.store import repository, rounds
from service.store.engine import Database, make_engine
from service.store.models import Attempt, Job
from service.store.outage import OUTAGES, reason_of
from workers.simulated import SimulatedBackend

# --- the API ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(settings: Settings) -> Settings:
    """Settings of a service that waits only a moment for its database."""
    settings.database_wait_s = 0.05
    return settings


def sqlite_of(settings: Settings) -> sqlite3.Connection:
    return sqlite3.connect(make_url(settings.database_url).database or "", isolation_level=None)


def assert_away(answer: httpx.Response, reason: str, assert_problem: Callable[..., Any]) -> None:
    problem = assert_problem(answer, 503, "unavailable")
    assert reason in problem["detail"]
    assert int(answer.headers["retry-after"]) >= 1


def test_a_locked_database_is_503_and_a_reader_is_served(
    hasty: Settings, start_server: Callable[..., Any], assert_problem: Callable[..., Any]
) -> None:
    with start_server(hasty) as running, closing(sqlite_of(hasty)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert_away(running.http.post("/jobs", json={}), "locked", assert_problem)
        assert running.http.get("/jobs").json()["items"] == []
        other.execute("ROLLBACK")
        assert running.http.post("/jobs", json={}).status_code == 201


def test_a_full_database_is_503_and_holds_no_half_of_the_request(
    hasty: Settings, start_server: Callable[..., Any], assert_problem: Callable[..., Any]
) -> None:
    """SQLite's own limit of pages stands for the disk; it holds for the connections of the service."""
    with start_server(hasty) as running:
        running.http.post("/jobs", json={"name": "first"})
        database = hasty_database(hasty)
        with database.write() as session:
            n_pages = session.scalar(text("PRAGMA page_count"))
        database.close()
        engine = running.app.state.database.engine
        engine.dispose()

        @contextmanager
        def full() -> Iterator[None]:
            from sqlalchemy import event

            def limit(connection: Any, _entry: Any) -> None:
                connection.execute(f"PRAGMA max_page_count={n_pages}")

            event.listen(engine, "connect", limit)
            yield
            event.remove(engine, "connect", limit)
            engine.dispose()

        with full():
            answer = running.http.post("/jobs", json={"name": "x" * 100, "compare": None})
            for _ in range(20):
                if answer.status_code != 201:
                    break
                answer = running.http.post("/jobs", json={"name": "x" * 100})
            assert_away(answer, "full", assert_problem)
            n_jobs = len(running.http.get("/jobs?limit=200").json()["items"])
        assert running.http.post("/jobs", json={}).status_code == 201
        assert len(running.http.get("/jobs?limit=200").json()["items"]) == n_jobs + 1


def hasty_database(settings: Settings) -> Database:
    return Database(settings.database_url, wait_s=0.05)


def test_all_connections_in_use_is_503(
    hasty: Settings, start_server: Callable[..., Any], assert_problem: Callable[..., Any]
) -> None:
    hasty.database_pool = 1
    with start_server(hasty) as running:
        with running.app.state.database.engine.connect():
            assert_away(running.http.get("/jobs"), "in use", assert_problem)
        assert running.http.get("/jobs").status_code == 200


@pytest.mark.postgres
def test_a_read_only_and_a_stopped_postgres_are_503(
    postgres_url: str, settings: Settings, start_server: Callable[..., Any], assert_problem: Callable[..., Any]
) -> None:
    settings.database_url = postgres_url
    name = make_url(postgres_url).database
    with start_server(settings) as running, psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")  # type: ignore[call-overload]
        running.app.state.database.engine.dispose()
        assert_away(running.http.post("/jobs", json={}), "read-only", assert_problem)
        admin.execute("SET default_transaction_read_only = off")
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")  # type: ignore[call-overload]
        running.app.state.database.engine.dispose()
        assert running.http.post("/jobs", json={}).status_code == 201
        assert len(running.http.get("/jobs").json()["items"]) == 1


def test_what_is_an_outage_and_what_a_bug(tmp_path: Any) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'new.db'}", wait_s=0.05)
    with pytest.raises(OUTAGES) as bug, engine.connect() as connection:
        connection.execute(text("SELECT * FROM nowhere"))
    assert reason_of(bug.value) is None
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x)"))
        connection.execute(text("PRAGMA query_only=ON"))
        with pytest.raises(OUTAGES) as read_only:
            connection.execute(text("INSERT INTO t VALUES (1)"))
    assert "read-only" in (reason_of(read_only.value) or "")
    engine.dispose()
    assert reason_of(ValueError()) is None


# --- the dispatcher ---------------------------------------------------------------------------------------------------


EVERY = 5


class CutOff(Database):
    """Loses the connection of its ``first`` write and of every EVERY-th behind it: before its commit, which then fails,
    or after, and only the answer is lost."""

    def __init__(self, url: str, first: int, *, answer_only: bool) -> None:
        super().__init__(url)
        self._url, self._left, self._answer_only = url, first, answer_only
        self.n_cuts = 0

    @contextmanager
    def write(self) -> Iterator[Session]:
        self._left -= 1
        is_cut = self._left == 0
        if is_cut:
            self._left, self.n_cuts = EVERY, self.n_cuts + 1
        with super().write() as session:
            yield session
            if is_cut and not self._answer_only:
                pid = session.scalar(text("SELECT pg_backend_pid()"))
                with psycopg.connect(self._url, autocommit=True) as other:
                    other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        if is_cut and self._answer_only:
            raise OperationalError("COMMIT", {}, psycopg.OperationalError("the connection is closed"))


class Counted(SimulatedBackend):
    """Counts what is cancelled."""

    n_cancelled = 0

    def cancel(self, key: Any) -> None:
        self.n_cancelled += key in self.running()
        super().cancel(key)


def run_to_its_end(database: Database, quick_search: Any) -> tuple[str, Counted]:
    with database.write() as session:
        job_id, _ = repository.create_job(session, quick_search.spec)
    backend, stop = Counted(quick_search.evaluate, n_workers=2), threading.Event()
    dispatcher = Dispatcher(database, backend, lease_s=60, poll_s=0.001)
    step = dispatcher.step

    def step_until_ended() -> int:
        n_events = step()
        with database.read() as session:
            if session.get_one(Job, job_id).state == "completed":
                stop.set()
        return n_events

    dispatcher.step = step_until_ended  # type: ignore[method-assign]
    dispatcher._lease_s = 0.003  # only the pause after an outage; the leases were taken with it before
    with capture_logs():
        dispatcher.run(stop)
    return job_id, backend


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("answer_only", [False, True])
def test_a_lost_connection_at_any_write_cancels_nothing_and_changes_no_number(
    postgres_url: str, quick_search: Any, answer_only: bool
) -> None:
    """One run for each phase of the losses: each kind of write is met, also while the loss before it is mended."""
    n_cuts = 0
    for first in range(2, 2 + EVERY):  # the first write is the submission
        database = CutOff(postgres_url, first, answer_only=answer_only)
        job_id, backend = run_to_its_end(database, quick_search)
        with database.read() as session:
            assert rounds.load_history(session, job_id) == quick_search.history
            attempts = session.execute(select(Attempt.outcome, Attempt.attempt).where(Attempt.job_id == job_id)).all()
        database.close()
        succeeded = [attempt for outcome, attempt in attempts if outcome == "succeeded"]
        assert len(succeeded) == loop.n_trials(quick_search.spec)
        assert {outcome for outcome, _ in attempts} <= {"succeeded", "orphaned"}
        assert answer_only or len(attempts) == len(succeeded)
        assert backend.n_cancelled == 0
        n_cuts += database.n_cuts
    assert n_cuts > 10
