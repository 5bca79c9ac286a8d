"""The dispatcher killed after every transaction, beside another one, in trouble, and told to stop."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, make_url, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from s2e.jobs import loop
from s2e.words import SearchError, read
from service.dispatch import asking, neighbours
from service.dispatch.dispatcher import MAX_ERRORS, Dispatcher
from service.dispatch.neighbours import here
from service.dispatch.orchestrator import Orchestrator
from service.dispatch.step import Step
from service.settings import Settings
from service.store import leases, repository, rounds
from service.store.changes import utc_now
from service.store.engine import Database
from service.store.models import Attempt, DispatcherRow, Epoch, Job, JobReport, Trial, WorkerRow
from workers.backend import EpochReported, PopulationFinished, PopulationKey
from workers.simulated import SimulatedBackend

ROOT = Path(__file__).resolve().parents[2]
MakeDispatcher = Callable[[Database], Dispatcher]


class Killed(BaseException):
    """The process ends here: nothing catches this."""


class WatchedDatabase(Database):
    """Calls ``after_commit`` with the number of each commit."""

    def __init__(self, url: str, after_commit: Callable[[int], None]) -> None:
        super().__init__(url)
        self._after_commit = after_commit
        self._n_commits = 0

    @contextmanager
    def write(self) -> Iterator[Session]:
        with super().write() as session:
            yield session
        self._n_commits += 1
        self._after_commit(self._n_commits)


@pytest.fixture
def make_dispatcher(quick_search: Any) -> MakeDispatcher:
    def make(database: Database) -> Dispatcher:
        return Dispatcher(database, SimulatedBackend(quick_search.evaluate, n_workers=2), lease_s=60, poll_s=0.001)

    return make


def submit(database: Database, quick_search: Any) -> str:
    with database.write() as session:
        return repository.create_job(session, quick_search.spec)[0]


def let_leases_run_out(database: Database) -> None:
    with database.write() as session:
        session.execute(
            update(Job).where(Job.lease_owner.is_not(None)).values(lease_until=utc_now() - timedelta(seconds=1))
        )


def job(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return session.get_one(Job, job_id)


def work(database: Database, job_id: str, *dispatchers: Dispatcher, until: str = "completed") -> None:
    for _ in range(500):
        for dispatcher in dispatchers:
            dispatcher.step()
        if job(database, job_id).state == until:
            return
    raise AssertionError(f"the job is {job(database, job_id).state}")


def check_outcome(database: Database, job_id: str, quick_search: Any) -> None:
    """Theta, schedules, results and report of an undisturbed run, and not one trial or epoch more or less."""
    with database.read() as session:
        assert rounds.load_history(session, job_id) == quick_search.history
        stored = session.get_one(JobReport, job_id).report
        assert read(type(quick_search.report), stored) == quick_search.report
        row = session.get_one(Job, job_id)
        n_trials = loop.n_trials(quick_search.spec)
        assert (row.state, row.n_trials_done) == ("completed", n_trials)
        assert session.scalar(select(func.count()).where(Trial.job_id == job_id)) == n_trials
        succeeded = select(func.count()).where(Attempt.job_id == job_id, Attempt.outcome == "succeeded")
        assert session.scalar(succeeded) == n_trials
        current = select(func.count()).where(
            Epoch.trial_id == Trial.id, Epoch.attempt == Trial.attempt, Trial.job_id == job_id
        )
        assert session.scalar(current) == n_trials * quick_search.spec.train.n_epochs


def copy_database(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    with closing(source), closing(target):
        source.backup(target)


@pytest.mark.slow
def test_killed_after_each_transaction_the_job_ends_the_same(
    sqlite_url: str, tmp_path: Path, quick_job: Any, make_dispatcher: MakeDispatcher
) -> None:
    """A killed process leaves the database as it was after some commit; the job goes on from each of them.

    The database is copied after every commit of an undisturbed run. Each copy is put back, and a new dispatcher with a
    new backend finishes the job.
    """
    live, copies = make_url(sqlite_url).database or "", []

    def keep_a_copy(n: int) -> None:
        copies.append(tmp_path / f"killed-after-{n}.db")
        copy_database(sqlite3.connect(live), sqlite3.connect(copies[-1]))

    watched = WatchedDatabase(sqlite_url, keep_a_copy)
    job_id = submit(watched, quick_job)
    work(watched, job_id, make_dispatcher(watched))
    check_outcome(watched, job_id, quick_job)
    watched.close()
    database, states = Database(sqlite_url), set()
    for copy in copies:
        copy_database(sqlite3.connect(copy), sqlite3.connect(live))
        states.add(job(database, job_id).state)
        let_leases_run_out(database)
        work(database, job_id, make_dispatcher(database))
        check_outcome(database, job_id, quick_job)
    database.close()
    assert states == {"queued", "checking", "running", "completed"}
    # Submission, lease, take-over, beginning, end; and each round is written, leased and recorded.
    assert len(copies) >= 5 + 3 * loop.n_rounds(quick_job.spec)


def test_twenty_kills_of_one_job(sqlite_url: str, quick_search: Any, make_dispatcher: MakeDispatcher) -> None:
    """In one process that dies at its sixth commit, again and again; what its backend knew dies with it."""

    def die(n: int) -> None:
        if n == 6 and n_kills < 20:
            raise Killed

    database = Database(sqlite_url)
    job_id, n_kills = submit(database, quick_search), 0
    while job(database, job_id).state != "completed":
        let_leases_run_out(database)
        mortal = WatchedDatabase(sqlite_url, die)
        try:
            work(mortal, job_id, make_dispatcher(mortal))
        except Killed:
            n_kills += 1
        mortal.close()
    check_outcome(database, job_id, quick_search)
    database.close()
    assert n_kills == 20


def test_several_jobs_and_two_dispatchers(
    each_database: Database, quick_search: Any, make_dispatcher: MakeDispatcher
) -> None:
    job_ids = [submit(each_database, quick_search) for _ in range(3)]
    first, second = make_dispatcher(each_database), make_dispatcher(each_database)
    first.step()
    job_ids.append(submit(each_database, quick_search))
    second.step()
    assert [job(each_database, job_id).lease_owner for job_id in job_ids] == [first.owner] * 3 + [second.owner]
    for job_id in job_ids:
        work(each_database, job_id, first, second)
        check_outcome(each_database, job_id, quick_search)
    with each_database.read() as session:
        assert len(session.scalars(select(WorkerRow)).all()) == 2


def test_who_lost_a_lease_lets_go_and_the_other_goes_on(
    database: Database, quick_search: Any, make_dispatcher: MakeDispatcher
) -> None:
    job_id = submit(database, quick_search)
    slow, quick = make_dispatcher(database), make_dispatcher(database)
    slow.step()
    slow.step()
    let_leases_run_out(database)
    quick.step()
    assert job(database, job_id).lease_owner == quick.owner
    slow.step()  # its events meet a lease that is not its own
    assert not slow._backend.running()
    work(database, job_id, quick, slow)
    check_outcome(database, job_id, quick_search)


def test_told_to_stop_it_lets_others_take_its_jobs_at_once(
    database: Database, quick_search: Any, make_dispatcher: MakeDispatcher
) -> None:
    job_id = submit(database, quick_search)
    dispatcher = make_dispatcher(database)
    dispatcher.step()
    assert job(database, job_id).lease_owner == dispatcher.owner
    stop = threading.Event()
    stop.set()
    dispatcher.run(stop)
    assert job(database, job_id).lease_owner is None
    work(database, job_id, make_dispatcher(database))
    check_outcome(database, job_id, quick_search)


def test_told_to_stop_and_to_keep_its_trainers_it_leaves_them_to_the_next_one(
    database: Database, quick_search: Any
) -> None:
    job_id, backend = submit(database, quick_search), SimulatedBackend(quick_search.evaluate, n_workers=2)
    backend.close = lambda: None  # type: ignore[method-assign]  # a driver of a cluster that stays
    first, second = (Dispatcher(database, backend, lease_s=60, poll_s=0.001, keep_trainers=True) for _ in range(2))
    while len(backend.running()) < 2 or job(database, job_id).state != "running":
        first.step()
    first.close()
    assert not backend.running()
    second.step()
    assert len(backend.running()) == 2
    work(database, job_id, second)
    check_outcome(database, job_id, quick_search)
    with database.read() as session:
        assert set(session.scalars(select(Trial.attempt))) == {1}


def test_the_loop_runs_a_job_to_its_end(database: Database, quick_search: Any, make_dispatcher: MakeDispatcher) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=make_dispatcher(database).run, args=(stop,))
    thread.start()
    job_id = submit(database, quick_search)
    deadline_s = time.monotonic() + 60
    while job(database, job_id).state != "completed" and time.monotonic() < deadline_s:
        time.sleep(0.01)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    check_outcome(database, job_id, quick_search)


def test_a_job_whose_search_cannot_go_on_fails_with_the_reason(
    database: Database, quick_search: Any, make_dispatcher: MakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise SearchError("all observations are alike")

    monkeypatch.setattr(asking.loop, "next_round", refuse)
    job_id = submit(database, quick_search)
    dispatcher = make_dispatcher(database)
    work(database, job_id, dispatcher, until="failed")
    assert job(database, job_id).reason == "SearchError: all observations are alike"


def test_an_unexpected_error_is_tried_again_and_then_fails_only_its_job(
    database: Database, quick_search: Any, make_dispatcher: MakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = submit(database, quick_search), submit(database, quick_search)
    turn, n_errors = Orchestrator.turn, 0

    def break_one(self: Any, job_id: str) -> Step:
        nonlocal n_errors
        if job_id == bad:
            n_errors += 1
            raise ZeroDivisionError("a bug")
        return turn(self, job_id)

    monkeypatch.setattr(Orchestrator, "turn", break_one)
    dispatcher = make_dispatcher(database)
    for _ in range(MAX_ERRORS):
        assert job(database, bad).state == "queued"
        dispatcher.step()
        let_leases_run_out(database)
    assert (job(database, bad).state, job(database, bad).reason) == ("failed", "ZeroDivisionError: a bug")
    assert n_errors == MAX_ERRORS
    work(database, good, dispatcher)
    check_outcome(database, good, quick_search)


def test_an_error_between_two_steps_is_repaired_by_taking_over(
    database: Database, quick_search: Any, make_dispatcher: MakeDispatcher
) -> None:
    """The backend fails just when populations were leased, again and again: they are put back, not forgotten, and no
    number of such failures ends the job."""
    job_id = submit(database, quick_search)
    dispatcher = make_dispatcher(database)
    backend = dispatcher._backend._backend  # type: ignore[attr-defined]
    start, failures = backend.start, iter([RuntimeError("no connection")] * (MAX_ERRORS + 2))

    def start_but_once(*args: Any, **more: Any) -> None:
        for failure in failures:
            raise failure
        start(*args, **more)

    while job(database, job_id).state != "running":
        dispatcher.step()
    let_leases_run_out(database)
    dispatcher._drop(job_id)
    backend.start = start_but_once  # type: ignore[method-assign]
    for _ in range(MAX_ERRORS + 1):
        dispatcher.step()
        with database.read() as session:
            assert "leased" in set(session.scalars(select(Trial.state)))
        assert job(database, job_id).state == "blocked"
        assert job(database, job_id).reason == "the backend does not answer: RuntimeError: no connection"
        let_leases_run_out(database)
    dispatcher.step()
    let_leases_run_out(database)
    work(database, job_id, dispatcher)
    check_outcome(database, job_id, quick_search)


def test_a_database_that_was_away_costs_no_result(
    database: Database, quick_search: Any, make_dispatcher: MakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(database, quick_search)
    dispatcher = make_dispatcher(database)
    dispatcher._lease_s = 0.01
    stop, failures, step = (
        threading.Event(),
        iter([OperationalError("SELECT", {}, psycopg.OperationalError("gone"))] * 2),
        dispatcher.step,
    )

    def step_but_twice() -> int:
        for failure in failures:
            raise failure
        n_events = step()
        if job(database, job_id).state == "completed":
            stop.set()
        return n_events

    monkeypatch.setattr(dispatcher, "step", step_but_twice)
    dispatcher.run(stop)
    check_outcome(database, job_id, quick_search)


def test_after_an_outage_jobs_stay_with_those_who_lead_them(
    database: Database, quick_search: Any, make_dispatcher: MakeDispatcher
) -> None:
    """Their leases ran out while the database was away; another one that came first took work that went on."""
    job_id = submit(database, quick_search)
    leading, other, stop = make_dispatcher(database), make_dispatcher(database), threading.Event()
    leading.step()
    leading.step()
    stop.set()
    for dispatcher in (leading, other):
        dispatcher._lease_s = 0.1
        time.sleep(0.1)
        dispatcher._wait_out(OperationalError("SELECT", {}, psycopg.OperationalError("gone")), stop)
    let_leases_run_out(database)
    new = submit(database, quick_search)
    other.step()
    assert job(database, job_id).lease_owner == leading.owner
    assert job(database, new).lease_owner == other.owner  # nobody has to renew a lease that there never was
    leading.step()
    assert leading._backend.running()
    time.sleep(0.1)
    other.step()  # its lease has run out, and it had the time to renew it
    assert job(database, job_id).lease_owner == other.owner
    for every in (job_id, new):
        work(database, every, other, leading)
    check_outcome(database, job_id, quick_search)


def test_news_alone_give_a_job_no_turn(
    database: Database, quick_search: Any, make_dispatcher: MakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch frees no place and ends nothing: asking what is to be done next cost more than to write it down."""
    job_id, dispatcher = submit(database, quick_search), make_dispatcher(database)
    monkeypatch.setattr(dispatcher._orchestrator, "record", lambda *_: None)
    dispatcher._led.add(job_id)
    key = PopulationKey(job_id, 0, 0, 1)
    for event, wakes in ((EpochReported(key, ()), False), (PopulationFinished(key, ()), True)):
        dispatcher._told = [event]
        dispatcher._record()
        assert dispatcher._turns.pressing == wakes
        assert dispatcher._told == []


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        (lambda pid: f"vm:{pid}:{here()}-1", True),
        (lambda _: f"vm:{os.getpid()}:{here()}-1", False),
        (lambda pid: f"vm:{pid}:elsewhere-1", False),
        (lambda pid: f"vm:{pid}", False),
        (lambda pid: f"vm:{pid}:{here()}-2", False),
    ],
    ids=["dead", "alive", "elsewhere", "nobody we know", "on another machine, woken from the same snapshot"],
)
def test_a_neighbour_that_died_is_not_waited_for(
    database: Database,
    quick_search: Any,
    make_dispatcher: MakeDispatcher,
    dead_pid: int,
    name: Any,
    taken: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "MARKS", tmp_path)
    for pid in (dead_pid, os.getpid()):
        (tmp_path / f"s2e-dispatcher-{pid}-{here()}-1").touch()
    job_id, before = submit(database, quick_search), name(dead_pid)
    with database.write() as session:
        assert leases.acquire_lease(session, job_id, before, 600)
        leases.record_dispatcher(session, before)
    dispatcher = make_dispatcher(database)
    dispatcher.step()
    assert job(database, job_id).lease_owner == (dispatcher.owner if taken else before)
    with database.read() as session:
        assert (session.get(DispatcherRow, before) is None) == taken
    if taken:
        work(database, job_id, dispatcher)
        check_outcome(database, job_id, quick_search)


def test_a_mark_goes_with_its_dispatcher_and_old_ones_of_the_dead_are_cleared(
    dead_pid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "MARKS", tmp_path)
    names = [f"s2e-dispatcher-{pid}-{here()}-1" for pid in (dead_pid, os.getpid())]
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    with neighbours.marked(f"vm:{os.getpid()}:{here()}-2"):
        assert {path.name for path in tmp_path.iterdir()} == {*names, f"s2e-dispatcher-{os.getpid()}-{here()}-2"}
    assert [path.name for path in tmp_path.iterdir()] == [names[1]]


PROGRAM = """
import sys, time
from service.dispatch import process
from service.settings import Settings
from workers.simulated import SimulatedBackend, SimulatedTrial

def evaluate(trial):
    time.sleep(0.02)
    return SimulatedTrial.constant(0.4 + sum(trial.keep_rate) / 10, len(trial.keep_rate))

process.make_backend = lambda *_: SimulatedBackend(evaluate, n_workers=2)
process.run(Settings())
"""


@pytest.fixture
def start_process(settings: Settings) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts dispatchers as processes of their own; none outlives the test."""
    processes: list[subprocess.Popen[bytes]] = []
    environment = {**os.environ, "S2E_HOME": str(settings.home), "S2E_LEASE_S": "0.5", "S2E_POLL_S": "0.01"}

    def start() -> subprocess.Popen[bytes]:
        processes.append(
            subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, stderr=subprocess.PIPE)
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, "it does not come about"
        time.sleep(0.01)


@pytest.mark.slow
def test_a_process_killed_outright_is_replaced_and_one_told_to_stop_ends_in_order(
    database: Database, quick_search: Any, start_process: Callable[[], subprocess.Popen[bytes]]
) -> None:
    job_id = submit(database, quick_search)
    first = start_process()
    wait_for(lambda: job(database, job_id).n_trials_done > 0)
    first.kill()
    first.wait(30)
    assert job(database, job_id).state == "running"
    second = start_process()
    wait_for(lambda: job(database, job_id).state == "completed")
    with database.read() as session:
        (n_done,) = session.execute(select(func.count()).where(Trial.state == "succeeded")).one()
    assert n_done == loop.n_trials(quick_search.spec)
    second.send_signal(signal.SIGTERM)
    _, log = second.communicate(timeout=30)
    assert second.returncode == 0
    lines = [json.loads(line) for line in log.decode().splitlines()]
    events = [line["event"] for line in lines]
    of_populations = [event for event in events if event in ("given", "finished")]
    assert of_populations.count("given") >= of_populations.count("finished") > 0
    rest = [event for event in events if event not in of_populations]
    died = "a dispatcher of this machine has died"
    assert rest == ["dispatcher started", died, "job taken", "job left", "dispatcher stopped"]
