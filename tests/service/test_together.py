"""Orders of external trainers by the batch: the same rows as one by one, no refusal is another's, and the queue."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, select

from s2e.door import parse_job
from s2e.words import SpecError
from s2e.words.asks import EpochIn
from service.api import writer as writer_module
from service.api.metrics import Metrics
from service.api.writer import Writer, write
from service.dispatch.orchestrator import Orchestrator
from service.errors import Conflict, Invalid, NotFound, Unavailable
from service.store import leases, repository
from service.store.engine import Database, WriteQueue
from service.store.external import Reported
from service.store.models import EPOCH_NUMBERS, Attempt, Epoch, JobEvent, Transition, Trial
from service.store.orders import Ask, End, Grant, Granted, Order, Report
from service.store.outage import WritersWaitError
from workers.simulated import SimulatedBackend

OWNER = "test:1"


def open_job(database: Database, n_trials: int = 6, n_epochs: int = 4) -> str:
    search = {"searcher": "random", "n_rounds": 1, "n_trials": n_trials}
    spec = parse_job({"trials": "external", "train": {"n_epochs": n_epochs}, "search": search})
    orchestrator = Orchestrator(database, SimulatedBackend(lambda _: pytest.fail("trains an external trial")), OWNER)
    with database.write() as session:
        job_id, _ = repository.create_job(session, spec)
        leases.acquire_lease(session, job_id, OWNER, 600)
    orchestrator.take_over(job_id)
    orchestrator.advance(job_id)
    return job_id


def ask(job_id: str, n_trials: int = 1, key: str | None = None) -> Ask:
    return Ask(job_id=job_id, n_trials=n_trials, worker="me", lease_s=600.0, key=key)


def report(grant: Grant, *epochs: int, **changed: Any) -> Report:
    rows = [EpochIn(epoch=t, validation_accuracy=0.5 + 0.1 * t, loss=1.0) for t in epochs]
    return Report(**{"trial_id": grant.id, "lease": grant.lease, "lease_s": 600.0, "epochs": rows, **changed})


def end(grant: Grant, **changed: Any) -> End:
    told = {"outcome": "succeeded", "reason": "", "validation_accuracy": None}
    return End(**{"trial_id": grant.id, "lease": grant.lease, **told, **changed})


def grants(answers: list[Any]) -> list[Grant]:
    assert all(isinstance(answer, Granted) for answer in answers)
    return [grant for answer in answers for grant in answer.grants]


def rows(database: Database, job_id: str) -> dict[str, list[Any]]:
    """Every row of a job, without names and times."""
    with database.read() as session:
        trials = session.scalars(select(Trial).where(Trial.job_id == job_id).order_by(Trial.k)).all()
        k_of = {trial.id: trial.k for trial in trials}
        events = session.scalars(select(JobEvent).where(JobEvent.job_id == job_id).order_by(JobEvent.id))
        moves = session.scalars(select(Transition).where(Transition.job_id == job_id).order_by(Transition.id))
        attempts = session.scalars(select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.k))
        epochs = session.scalars(select(Epoch).where(Epoch.trial_id.in_(k_of)))
        return {
            "trials": [(t.k, t.state, t.attempt, t.objective, t.final, t.model, t.started_at is None) for t in trials],
            "ended": [t.finished_at is None for t in trials],
            "events": sorted(str((e.kind, {**e.data, "id": None})) for e in events),
            "moves": sorted((k_of.get(m.trial_id or "", -1), m.old or "", m.new, m.reason) for m in moves),
            "attempts": [
                (a.k, a.attempt, a.worker, a.outcome, a.reason, a.n_stale, a.ended_at is None) for a in attempts
            ],
            "epochs": sorted(
                (k_of[e.trial_id], e.attempt, e.epoch, *(str(getattr(e, name)) for name in EPOCH_NUMBERS))
                for e in epochs
            ),
        }


class Statements:
    """Counts the statements that a database is sent."""

    def __init__(self, database: Database) -> None:
        self.n = 0
        event.listen(database.engine, "before_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        self.n += 1


def test_a_batch_leaves_the_rows_that_its_orders_leave_one_by_one_and_costs_few_statements(
    each_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = Statements(each_database)

    def train(job_id: str) -> int:
        six = grants(write(each_database, [ask(job_id, 2), ask(job_id), ask(job_id, 3)], 3))
        assert [grant.k for grant in six] == [0, 1, 2, 3, 4, 5]
        before = statements.n
        for told in ([0, 1], [1], [], [3, 2]):
            assert all(isinstance(a, Reported) for a in write(each_database, [report(g, *told) for g in six], 3))
        n = statements.n - before
        write(each_database, [end(g) for g in six[:4]] + [end(six[4], outcome="failed", reason="NaN")], 3)
        assert grants(write(each_database, [ask(job_id, 5)], 3)) == []
        return n

    batched = open_job(each_database)
    assert train(batched) / 24 < 2
    alone = open_job(each_database)
    monkeypatch.setattr(writer_module, "together", lambda *_: {})
    train(alone)
    assert rows(each_database, batched) == rows(each_database, alone)


def test_a_batch_that_fails_is_counted_and_written_one_by_one(
    database: Database, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("a bug")

    job_id, metrics = open_job(database), Metrics(database)
    monkeypatch.setattr(writer_module, "together", broken)
    assert len(grants(write(database, [ask(job_id), ask(job_id)], 3, metrics.failed_batches.inc))) == 2
    assert b"s2e_batches_failed_total 1.0" in metrics.text()
    assert "tried alone" in caplog.text


def test_what_is_refused_is_refused_by_itself_and_everything_else_of_the_batch_is_written(database: Database) -> None:
    job_id = open_job(database)
    first, second, third = grants(write(database, [ask(job_id, 3, "key")], 3))
    orders: list[Order] = [
        report(first, 0, 1, 2, 3),
        report(second, 4),
        report(second, 0, lease="guessed"),
        report(second, 0, trial_id=third.id),
        end(third),
        ask(job_id, 1, "key"),
        ask(job_id, 3, "key"),
        ask("no-such-job"),
    ]
    good, beyond, guessed, foreign, early, other, again, missing = write(database, orders, 3)
    assert isinstance(good, Reported)
    assert good.state == "running"
    assert isinstance(beyond, SpecError)
    assert [isinstance(answer, NotFound) for answer in (guessed, foreign, missing)] == [True] * 3
    assert isinstance(early, Invalid)
    assert isinstance(other, Conflict)
    assert [grant.lease for grant in grants([again])] == [first.lease, second.lease, third.lease]
    with database.read() as session:
        assert session.scalars(select(Epoch.trial_id)).all() == [first.id] * 4
        assert [trial.state for trial in session.scalars(select(Trial).order_by(Trial.k).limit(3))] == [
            "running", "leased", "leased",
        ]  # fmt: skip
    ended, twice = write(database, [end(first), end(first)], 3)
    assert isinstance(ended, Reported)
    assert isinstance(twice, Reported)
    assert (ended.state, ended.objective) == (twice.state, twice.objective)


def test_a_lease_is_written_anew_when_a_tenth_of_it_has_passed(database: Database, monkeypatch: Any) -> None:
    job_id = open_job(database)
    (grant,) = grants(write(database, [ask(job_id)], 3))

    def until(lease_s: float) -> Any:
        (told,) = write(database, [report(grant, lease_s=lease_s)], 3)
        assert isinstance(told, Reported)
        return told.lease_until

    assert until(600.0) == grant.lease_until
    assert (until(900.0) - grant.lease_until).total_seconds() == pytest.approx(300, abs=60)


def test_two_processes_lease_no_trial_twice(each_database: Database) -> None:
    """Two writers with connections of their own, as two api processes have."""
    job_id = open_job(each_database, 120, 1)
    leased: list[str] = []

    def program() -> None:
        url = each_database.engine.url.render_as_string(hide_password=False)
        own = Database(url)
        while granted := grants(write(own, [ask(job_id) for _ in range(4)], 3)):
            leased.extend(grant.id for grant in granted)
        own.close()

    threads = [threading.Thread(target=program) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(leased) == len(set(leased)) == 120


@pytest.fixture
def in_loop(database: Database) -> Callable[..., Any]:
    def run(program: Any, most_waiting: int) -> Any:
        async def within() -> Any:
            writer = Writer(database, 3, most_waiting)
            try:
                return await program(writer)
            finally:
                writer.close()

        return asyncio.run(within())

    return run


def test_a_full_queue_says_when_to_come_again(database: Database, in_loop: Any) -> None:
    job_id = open_job(database)

    async def program(writer: Writer) -> list[Any]:
        return await asyncio.gather(*(writer.carry_out(ask(job_id)) for _ in range(4)), return_exceptions=True)

    told = in_loop(program, 3)
    assert [grant.k for grant in grants(told[:3])] == [0, 1, 2]
    assert isinstance(told[3], Unavailable)
    assert told[3].headers["Retry-After"] == "1"


def test_who_comes_back_at_once_is_waited_for(in_loop: Any, monkeypatch: Any) -> None:
    """Eight trainers, a few milliseconds apart, all of which report again as soon as they are answered."""
    sizes: list[int] = []

    def slow(_database: Database, orders: list[Order], *_: Any) -> list[Any]:
        sizes.append(len(orders))
        time.sleep(0.2)
        return [Granted("running", ()) for _ in orders]

    async def trainer(writer: Writer, number: int) -> None:
        for _ in range(4):
            await asyncio.sleep(0.002 * number)
            await writer.carry_out(ask("any"))

    async def program(writer: Writer) -> None:
        await asyncio.gather(*(trainer(writer, number) for number in range(8)))
        for _ in range(2):  # nobody else comes: nobody is waited for
            await writer.carry_out(ask("any"))

    monkeypatch.setattr(writer_module, "write", slow)
    in_loop(program, 99)
    assert len(sizes) <= 8, sizes  # 1, 8, 8, 8, 7, 1, 1; without waiting 1, 7, 1, 7, 1, 7, 1, 7, 1, 1


def test_writers_of_one_process_take_turns_in_the_order_they_came() -> None:
    queue, done, threads = WriteQueue(3, 5.0), [], []

    def wait(name: int) -> None:
        with queue.turn():
            done.append(name)

    with queue.turn():
        for name in range(2):
            threads.append(threading.Thread(target=wait, args=(name,)))
            threads[-1].start()
            while len(queue._queue) < name + 2:
                threads[-1].join(0.001)
        with pytest.raises(WritersWaitError, match="3 writers"), queue.turn():
            pass
    for thread in threads:
        thread.join(5)
    assert done == [0, 1]
    queue = WriteQueue(3, 0.01)
    with queue.turn(), pytest.raises(WritersWaitError, match="waited"), queue.turn():
        pass
    with queue.turn():
        done.append(2)
    assert done == [0, 1, 2]


def test_a_service_that_ends_says_so_to_who_waits(database: Database, in_loop: Any) -> None:
    async def program(writer: Writer) -> list[Any]:
        writer.close()
        return await asyncio.gather(*(writer.carry_out(ask("any")) for _ in range(2)), return_exceptions=True)

    assert [type(told) for told in in_loop(program, 9)] == [Unavailable, Unavailable]
