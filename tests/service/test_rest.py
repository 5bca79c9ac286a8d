"""A local Ray that rests while there is no job: its dispatcher ends, and the one that follows wakes it for the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from s2e.words import replace
from service.dispatch.dispatcher import Dispatcher
from service.dispatch.rest import NOTE, Rest, RestingBackend
from service.store import leases, repository
from service.store.engine import Database
from service.store.models import Job, WorkerRow
from workers.backend import WorkerInfo
from workers.simulated import SimulatedBackend

PLACES = [WorkerInfo("a", 2.0, 1.0, 0), WorkerInfo("b", 4.0, 0.0, 3)]
Make = Callable[[], SimulatedBackend]


@pytest.fixture
def rest(tmp_path: Path) -> Rest:
    return Rest(tmp_path / "note", 0.05)


@pytest.fixture
def make(quick_search: Any) -> Make:
    return lambda: SimulatedBackend(quick_search.evaluate, n_workers=2)


def submit(database: Database, quick_search: Any, **more: Any) -> str:
    with database.write() as session:
        return repository.create_job(session, replace(quick_search.spec, **more))[0]


def worker_names(database: Database) -> list[str]:
    with database.read() as session:
        return sorted(session.scalars(select(WorkerRow.name)))


def test_it_rests_only_where_somebody_would_wake_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NOTE, raising=False)
    assert Rest.of(600) is None
    monkeypatch.setenv(NOTE, str(tmp_path / "note"))
    assert Rest.of(0) is None
    assert Rest.of(600) == Rest(tmp_path / "note", 600)


def test_the_note_keeps_the_places_that_come_back(rest: Rest) -> None:
    assert not rest.is_on()
    rest.begin(PLACES)
    assert rest.is_on()
    assert rest.places() == [replace(place, busy=0) for place in PLACES]
    rest.end()
    rest.end()
    assert not rest.is_on()


@pytest.mark.timeout(30)
def test_without_a_job_it_may_rest_and_the_service_is_ready_all_the_time(
    database: Database, make: Make, rest: Rest
) -> None:
    dispatcher = Dispatcher(database, make(), poll_s=0.001, rest=rest)
    assert dispatcher.run(threading.Event())
    with database.read() as session:
        assert (leases.no_dispatcher(session), leases.no_place(session)) == ("", "")
    rest.begin(dispatcher.places)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    following = Dispatcher(database, RestingBackend(rest.places(), make), poll_s=0.001, rest=rest)
    assert not following.run(stop)  # it rests already
    assert worker_names(database) == [place.name for place in rest.places()]


@pytest.mark.timeout(30)
def test_a_job_wakes_it_and_only_then_it_may_rest_again(
    database: Database, make: Make, rest: Rest, quick_search: Any
) -> None:
    rest.begin(PLACES)

    def wake() -> SimulatedBackend:
        rest.end()
        return make()

    job_id = submit(database, quick_search)
    assert Dispatcher(database, RestingBackend(PLACES, wake), lease_s=60, poll_s=0.001, rest=rest).run(
        threading.Event()
    )
    with database.read() as session:
        assert session.get_one(Job, job_id).state == "completed"


def test_a_job_that_its_owner_trains_wakes_nobody(database: Database, quick_search: Any) -> None:
    def wake() -> SimulatedBackend:
        raise AssertionError

    job_id = submit(database, quick_search, trials="external")
    dispatcher = Dispatcher(database, RestingBackend(PLACES, wake), lease_s=60, poll_s=0.001)
    for _ in range(5):
        dispatcher.step()
    with database.read() as session:
        assert session.get_one(Job, job_id).state == "running"
