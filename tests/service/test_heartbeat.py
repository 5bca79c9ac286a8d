"""A dispatcher that lives says so: leases by the database's clock, renewed beside slow steps, and /readyz."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text, update

from service.dispatch import dispatcher as dispatcher_module
from service.dispatch import heartbeat as heartbeat_module
from service.dispatch import process
from service.dispatch.dispatcher import Dispatcher
from service.dispatch.heartbeat import Heartbeat
from service.dispatch.orchestrator import Orchestrator
from service.dispatch.step import Step
from service.settings import Settings
from service.store import changes, leases, repository
from service.store.engine import Database
from service.store.models import DispatcherRow, Job
from workers.backend import WorkerInfo
from workers.simulated import SimulatedBackend, SimulatedTrial


def submit(database: Database, quick_search: Any) -> str:
    with database.write() as session:
        return repository.create_job(session, quick_search.spec)[0]


def owner_of(database: Database, job_id: str) -> str | None:
    with database.read() as session:
        return session.get_one(Job, job_id).lease_owner


class AnHourAhead(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) + timedelta(hours=1)


def taken_by(database: Database, job_id: str, owner: str) -> bool:
    with database.write() as session:
        return leases.acquire_lease(session, job_id, owner, 60)


@pytest.mark.postgres
def test_a_host_an_hour_ahead_holds_no_job_an_hour_longer(
    postgres_url: str, quick_search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(postgres_url)
    job_id = submit(database, quick_search)
    with monkeypatch.context() as ahead:
        ahead.setattr(changes, "datetime", AnHourAhead)
        with database.write() as session:
            assert leases.acquire_lease(session, job_id, "ahead", 1.0)
            assert leases.renew_leases(session, "ahead", [job_id], 1.0) == {job_id}
            assert leases.claimable_jobs(session, 9) == []  # and it takes nobody's job early
    with database.read() as session:
        now = session.scalar(text("SELECT clock_timestamp()"))
        assert session.get_one(Job, job_id).lease_until < now + timedelta(seconds=2)
    deadline_s = time.monotonic() + 60
    while not taken_by(database, job_id, "other"):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    database.close()


def test_a_slow_step_loses_no_job(
    database: Database, settings: Settings, quick_search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of two seconds, as of a slow import, under a lease of half a second; a second dispatcher stands by."""
    turn, slow = Orchestrator.turn, threading.Event()

    def once_slow(self: Orchestrator, job_id: str) -> Step:
        if not slow.is_set():
            slow.set()
            time.sleep(2.0)
        return turn(self, job_id)

    monkeypatch.setattr(Orchestrator, "turn", once_slow)
    job_id, stop = submit(database, quick_search), threading.Event()
    its_own = Database(settings.database_url)
    first = Dispatcher(its_own, SimulatedBackend(quick_search.evaluate), lease_s=0.5)
    thread = threading.Thread(target=first.run, args=(stop,))
    thread.start()
    assert slow.wait(30)
    second = Dispatcher(database, SimulatedBackend(quick_search.evaluate), lease_s=0.5)
    owners = set()
    deadline_s = time.monotonic() + 1.8
    while time.monotonic() < deadline_s:
        second.step()
        owners.add(owner_of(database, job_id))
        time.sleep(0.05)
    stop.set()
    thread.join(30)
    its_own.close()
    assert owners == {first.owner}


def test_a_dispatcher_that_stands_still_lets_others_have_its_jobs(database: Database, quick_search: Any) -> None:
    job_id = submit(database, quick_search)
    with database.write() as session:
        assert leases.acquire_lease(session, job_id, "stuck", 0.1)
    heartbeat = Heartbeat(database, "stuck", 0.1, stall_s=-1.0)
    heartbeat.works()
    heartbeat.leads([job_id])
    time.sleep(0.15)
    heartbeat.beat()
    with database.read() as session:
        assert leases.claimable_jobs(session, 9) == [job_id]
        assert session.scalars(select(DispatcherRow.trouble)).one().startswith("no step has ended for")
    assert heartbeat.take_lost() == set()


def test_a_lease_that_others_took_is_told_once(database: Database, quick_search: Any) -> None:
    job_id = submit(database, quick_search)
    heartbeat = Heartbeat(database, "me", 60)
    heartbeat.leads([job_id])
    with database.write() as session:
        leases.acquire_lease(session, job_id, "other", 60)
    heartbeat.beat()
    assert heartbeat.take_lost() == {job_id}
    assert heartbeat.take_lost() == set()


# --- /readyz ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def readyz(http: httpx.Client) -> Callable[[], httpx.Response]:
    return lambda: httpx.get(str(http.base_url).removesuffix("/api/v1/") + "/readyz")


def test_without_a_dispatcher_the_service_is_not_ready(
    readyz: Callable[[], httpx.Response], assert_problem: Any, database: Database
) -> None:
    assert "no dispatcher is alive" in assert_problem(readyz(), 503, "unavailable")["detail"]
    heartbeat = Heartbeat(database, "me", 60)
    heartbeat.beat()
    assert "it is starting" in assert_problem(readyz(), 503, "unavailable")["detail"]
    heartbeat.works()
    heartbeat.beat()
    assert "no place that trains" in assert_problem(readyz(), 503, "unavailable")["detail"]
    with database.write() as session:
        leases.record_workers(session, [WorkerInfo("here", 1.0, 0.0, 0)])
    parts = ("database", "disk", "dispatcher", "places")
    assert readyz().json() == {"status": "ready", "migrations": "head", **dict.fromkeys(parts, "ok")}
    with database.write() as session:
        session.execute(update(DispatcherRow).values(seen_at=datetime.now(UTC) - timedelta(seconds=20)))
    assert readyz().status_code == 503
    heartbeat.beat()
    assert readyz().status_code == 200
    heartbeat.stop()
    assert readyz().status_code == 503


def test_a_backend_that_cannot_be_had_is_told_until_one_works(
    readyz: Callable[[], httpx.Response], database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor starts the dispatcher again and again; in between it is starting, which explains nothing."""

    def refuse(_: Settings, *_more: object) -> None:
        raise ConnectionError("could not find any running Ray instance at 127.0.0.1:1")

    monkeypatch.setattr(process, "make_backend", refuse)
    for owner in ("first", "second"):
        with pytest.raises(SystemExit):
            process._backend_or_trouble(settings, Heartbeat(database, owner, 5))
    Heartbeat(database, "third", 5).beat()
    detail = readyz().json()["detail"]
    assert detail == (
        "the dispatcher does not work: backend ray: ConnectionError: "
        "could not find any running Ray instance at 127.0.0.1:1"
    )
    works = Heartbeat(database, "fourth", 5)
    works.works()
    works.beat()
    with database.write() as session:
        leases.record_workers(session, [WorkerInfo("here", 1.0, 0.0, 0)])
    assert readyz().status_code == 200


def test_a_dispatcher_that_runs_makes_the_service_ready(
    readyz: Callable[[], httpx.Response], dispatching: None, tmp_path: Path
) -> None:
    deadline_s = time.monotonic() + 20
    while readyz().status_code != 200:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_an_idle_dispatcher_sees_a_submission_before_it_would_have_looked(
    database: Database, quick_search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would look once in an hour by itself, and its heart would beat as slowly; both wake up for a job."""
    monkeypatch.setattr(dispatcher_module, "IDLE_S", 3600.0)
    monkeypatch.setattr(heartbeat_module, "IDLE_BEAT_S", 3600.0)
    backend = SimulatedBackend(lambda trial: SimulatedTrial.constant(0.5, len(trial.keep_rate)))
    dispatcher, stop = Dispatcher(database, backend, poll_s=0.01, lease_s=0.3), threading.Event()
    running = threading.Thread(target=dispatcher.run, args=(stop,))
    running.start()
    try:
        while not seen(database):
            time.sleep(0.01)
        time.sleep(0.1)  # it has nothing to do, and waits
        job_id = submit(database, quick_search)
        while owner_of(database, job_id) is None:
            time.sleep(0.01)
        first = lease_until(database, job_id)
        while lease_until(database, job_id) in (first, None):  # renewed, or let go at the job's end
            time.sleep(0.01)
            with database.read() as session:
                if session.get_one(Job, job_id).state == "completed":
                    break
    finally:
        stop.set()
        running.join()


def test_one_that_stands_by_looks_at_the_moment_when_a_lease_runs_out(
    each_database: Database, quick_search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would look once in an hour by itself, and nobody writes anything when a dispatcher of another machine dies."""
    monkeypatch.setattr(dispatcher_module, "IDLE_S", 3600.0)
    job_id = submit(each_database, quick_search)
    with each_database.write() as session:
        assert leases.acquire_lease(session, job_id, "elsewhere", 2.0)
    backend = SimulatedBackend(lambda trial: SimulatedTrial.constant(0.5, len(trial.keep_rate)))
    dispatcher, stop = Dispatcher(each_database, backend, poll_s=0.01), threading.Event()
    running = threading.Thread(target=dispatcher.run, args=(stop,))
    running.start()
    try:
        while owner_of(each_database, job_id) == "elsewhere":
            time.sleep(0.01)
    finally:
        stop.set()
        running.join()


def test_a_lease_is_renewed_with_each_beat_and_the_dispatchers_row_now_and_then(
    each_database: Database, quick_search: Any
) -> None:
    job_id = submit(each_database, quick_search)
    with each_database.write() as session:
        leases.acquire_lease(session, job_id, "me", 60)
    heartbeat = Heartbeat(each_database, "me", 60)
    heartbeat.leads([job_id])

    def after_a_beat() -> tuple[datetime | None, datetime | None]:
        heartbeat.beat()
        with each_database.read() as session:
            return session.get_one(Job, job_id).lease_until, session.scalar(select(DispatcherRow.seen_at))

    first, second = after_a_beat(), after_a_beat()
    assert first[0] is not None
    assert second[0] is not None
    assert second[0] > first[0]
    assert second[1] == first[1]
    heartbeat.works()  # news is told at once
    assert after_a_beat()[1] != second[1]


def test_what_is_written_shows_from_outside(database: Database) -> None:
    watch = database.watch()
    for _ in range(2):  # the first to open the database makes the file that is looked at
        watch.changed()
        with database.read() as session:
            session.scalars(select(Job)).all()
    assert not watch.changed()
    with database.write() as session:
        leases.record_dispatcher(session, "another")
    assert watch.changed()
    assert not watch.changed()
    assert Database("sqlite://").watch().changed()  # that has no file: look


def seen(database: Database) -> bool:
    with database.read() as session:
        return session.scalar(select(DispatcherRow.name)) is not None


def lease_until(database: Database, job_id: str) -> datetime | None:
    with database.read() as session:
        return session.get_one(Job, job_id).lease_until
