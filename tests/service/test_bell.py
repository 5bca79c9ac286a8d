"""PostgreSQL's notifications wake up who waits, and nothing relies on them."""

from __future__ import annotations

import fcntl
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import URL, make_url

from s2e.door import parse_job
from service.store import repository
from service.store.changes import lock_job, move_job
from service.store.engine import Database
from service.store.watch import Watch, heard

pytestmark = pytest.mark.postgres
FAR_S = 30.0
NO_STOP = threading.Event()


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.fixture
def watch(database: Database) -> Watch:
    """One that listens, and has heard nothing since."""
    watch = database.watch()
    wait_until(lambda: not watch.changed())
    return watch


def wait_until(done: Callable[[], bool]) -> None:
    until_s = time.monotonic() + FAR_S
    while not done():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def submit(database: Database) -> str:
    with database.write() as session:
        return repository.create_job(session, parse_job({"search": {"n_rounds": 1, "n_trials": 1}}))[0]


def test_a_change_of_a_job_by_somebody_else_ends_a_wait_once_it_is_committed(
    database: Database, watch: Watch, postgres_url: str
) -> None:
    other, heard = Database(postgres_url), threading.Event()
    with watch.calling(heard.set):
        job_id = submit(other)
        assert watch.wait(FAR_S, NO_STOP) is False
        assert (watch.changed(), watch.changed(), heard.wait(FAR_S)) == (True, False, True)
        heard.clear()
        with other.write() as session:
            move_job(session, lock_job(session, job_id), "cancelled")
            assert not watch.changed()
        assert heard.wait(FAR_S)
    other.close()


def test_a_lost_connection_is_noticed_and_until_it_is_back_everybody_looks(
    database: Database, watch: Watch, postgres_url: str
) -> None:
    address: URL = make_url(postgres_url)
    with psycopg.connect(address.render_as_string(hide_password=False), autocommit=True) as connection:
        listening = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        assert connection.execute(listening).fetchall() == [(True,)]
    wait_until(lambda: watch.changed() and watch.changed())
    wait_until(lambda: not watch.changed())  # it listens again
    submit(database)
    watch.wait(FAR_S, NO_STOP)
    assert watch.changed()


def test_a_closed_database_listens_no_more(database: Database, watch: Watch) -> None:
    database.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "s2e-bell"]
    assert watch.changed()


def test_it_hears_beside_more_open_files_than_select_can_count() -> None:
    """An api holds a file for each event stream."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_048) if hard < 0 else min(hard, max(soft, 2_048)), hard))
    ends = os.pipe()
    high = fcntl.fcntl(ends[0], fcntl.F_DUPFD, 1_100)
    try:
        assert not heard([high], 0)
        os.write(ends[1], b".")
        assert heard([high], 0)
    finally:
        for file in (*ends, high):
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
