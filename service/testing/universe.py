"""One job in one small universe: two dispatchers, a database and simulated trainers on virtual time, and a seeded plan
of faults between any two writes.

A dispatcher dies before or after a commit, or is frozen there while the other one goes on; the database is away, or
commits and its answer is lost; its clock jumps by an hour; events come late, twice, or in another order between
populations; trainers are lost. Nothing here sleeps, and the same seed gives the same universe.
"""

from __future__ import annotations

import random
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from sqlalchemy import bindparam, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from s2e.jobs import loop
from s2e.words import JobSpec, PlanSpec, Population, Report, RoundRecord, TrialSpec, read
from service.dispatch.dispatcher import Dispatcher
from service.store import clock, repository, rounds
from service.store.engine import Database
from service.store.models import Attempt, Base, Epoch, Job, JobReport, Trial
from service.store.outage import OUTAGES
from service.store.quick import Quick
from workers.backend import Event, PopulationChecked, PopulationFinished, PopulationKey, PopulationLost, WorkerInfo
from workers.simulated import Loss, SimulatedBackend, SimulatedTrial

LEASE_S = 5.0
STEP_S = 0.5
MOST_STEPS = 4_000
_STATE = Quick(lambda _: select(Job.state).where(Job.id == bindparam("job")))
_ENDS = (PopulationFinished, PopulationLost, PopulationChecked)


@dataclass(frozen=True)
class Rates:
    """Frequencies of faults: each a share of all writes, polls, populations or steps."""

    crash: float = 0.01
    freeze: float = 0.01
    outage: float = 0.01
    loss: float = 0.05
    late: float = 0.2
    twice: float = 0.1
    jump: float = 0.002


class Crash(BaseException):
    """A dispatcher was killed in this moment."""


@dataclass
class Time:
    """Virtual time: the clock of every process, and that of the database, which may be set."""

    now_s: float = 0.0
    ahead_s: float = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now_s + self.ahead_s)


class Cluster:
    """Trainers that outlive their drivers, each with the events that nobody has acknowledged."""

    def __init__(self, evaluate: Callable[[TrialSpec], SimulatedTrial], rng: random.Random, loss: float) -> None:
        self._rng, self._loss = rng, loss
        self.trains = SimulatedBackend(evaluate, n_workers=rng.randint(1, 4), lost=self._lost)
        self.held: dict[PopulationKey, list[Event]] = {}

    def advance(self) -> None:
        for event in self.trains.poll():
            self.held.setdefault(event.key, []).append(event)

    def under_way(self) -> list[PopulationKey]:
        return sorted({*self.trains.running(), *self.held}, key=_order)

    def cancel(self, key: PopulationKey) -> None:
        self.trains.cancel(key)
        self.held.pop(key, None)

    def _lost(self, _key: PopulationKey) -> Loss | None:
        return Loss(self._rng.randint(0, 3), "its process is gone") if self._rng.random() < self._loss else None


@dataclass
class View:
    """The backend as one dispatcher has it: only events that it has not acknowledged die with it."""

    cluster: Cluster
    rng: random.Random
    rates: Rates
    known: set[PopulationKey] = field(default_factory=set)
    driven: set[PopulationKey] = field(default_factory=set)
    told: dict[PopulationKey, list[Event]] = field(default_factory=dict)

    def start(
        self, key: PopulationKey, population: Population, *, avoid: frozenset[str] = frozenset(), check: bool = False
    ) -> None:
        if key not in self.known:
            self.known.add(key)
            self.driven.add(key)
            self.cluster.trains.start(key, population, avoid=avoid, check=check)

    def lacks(self, plan: PlanSpec, avoid: frozenset[str] = frozenset()) -> str:
        return self.cluster.trains.lacks(plan, avoid)

    def attach(self, job_id: str) -> dict[PopulationKey, str]:
        taken = {key: "" for key in self.cluster.under_way() if key.job_id == job_id and key not in self.driven}
        self.known.update(taken)
        self.driven.update(taken)
        return taken

    def leave(self, job_id: str) -> None:
        self.driven = {key for key in self.driven if key.job_id != job_id}
        self.told = {key: events for key, events in self.told.items() if key.job_id != job_id}

    def poll(self, timeout_s: float = 0.0) -> list[Event]:  # noqa: ARG002  virtual time costs no waiting
        self._acknowledge()
        self.cluster.advance()
        events: list[Event] = []
        for key in self._shuffled(key for key in self.driven if key in self.cluster.held):
            held = self.cluster.held[key]
            if self.rng.random() < self.rates.late:
                held = held[: self.rng.randint(0, len(held))]
            self.told[key] = list(held)
            events += held
            if held and self.rng.random() < self.rates.twice:
                events.append(self.rng.choice(held))
            if held and isinstance(held[-1], _ENDS):
                self.driven.discard(key)
        return events

    def cancel(self, key: PopulationKey) -> None:
        if key in self.driven:
            self.driven.discard(key)
            self.told.pop(key, None)
            self.cluster.cancel(key)

    def pause(self, key: PopulationKey) -> None:
        if key in self.driven:
            self.cluster.trains.pause(key)

    def running(self) -> frozenset[PopulationKey]:
        return frozenset(self.driven)

    def riders(self) -> frozenset[PopulationKey]:
        return frozenset()

    def open_programs(self) -> dict[str, int]:
        return {}

    def workers(self) -> list[WorkerInfo]:
        return self.cluster.trains.workers()

    def close(self) -> None:
        """A driver that ends in order lets go of all."""
        for key in sorted(self.driven, key=_order):
            self.cancel(key)

    def _acknowledge(self) -> None:
        for key, events in self.told.items():
            held = self.cluster.held.get(key)
            if held is not None and held[: len(events)] == events:
                del held[: len(events)]
                if not held:
                    del self.cluster.held[key]
        self.told = {}

    def _shuffled(self, keys: Iterator[PopulationKey]) -> list[PopulationKey]:
        ordered = sorted(keys, key=_order)
        self.rng.shuffle(ordered)
        return ordered


class FaultyDatabase(Database):
    """``database``, with something that may happen before a transaction, before its commit, and after it."""

    def __init__(self, database: Database, happens: Callable[[str], None]) -> None:
        self.engine, self._database, self._happens = database.engine, database, happens

    @contextmanager
    def read(self) -> Iterator[Session]:
        self._happens("read")
        with self._database.read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        self._happens("begin")
        with self._database.write() as session:
            yield session
            self._happens("commit")
        self._happens("committed")


@dataclass(frozen=True)
class End:
    """The end of a universe: the job's history and report, and the count of faults and steps."""

    history: list[RoundRecord]
    report: Report
    n_faults: int
    n_steps: int


def in_memory() -> Database:
    """A database for one universe after another: an engine keeps the statements that it has compiled."""
    database = Database("sqlite://")
    Base.metadata.create_all(database.engine)
    return database


def empty(database: Database) -> None:
    """Take every row out of the tables."""
    with database.write() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())


class Remembered:
    """A pure function of (spec, history): every universe of a job asks the same of it, and has it computed once.

    An answer is given again only for an equal spec and equal history, so a universe that went another way gets its own.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._known: dict[int, list[tuple[tuple[Any, ...], Any]]] = {}

    def __call__(self, spec: JobSpec, history: Sequence[RoundRecord], *more: Any) -> Any:
        asked = (spec, list(history), *more)
        known = self._known.setdefault(len(history), [])
        for question, answer in known:
            if question == asked:
                return answer
        answer = self._function(*asked)
        known.append((asked, answer))
        return answer


@dataclass(frozen=True)
class Search:
    """The rounds and the report of a job, remembered for all universes that share it."""

    next_round: Callable[..., Any] = field(default_factory=lambda: Remembered(loop.next_round))
    report_of: Callable[..., Any] = field(default_factory=lambda: Remembered(loop.report_of))


class Universe:
    """One job from its submission to its end. ``spec`` and ``evaluate`` are the job and its trainings."""

    def __init__(
        self,
        seed: int,
        spec: JobSpec,
        evaluate: Callable[[TrialSpec], SimulatedTrial],
        rates: Rates | None = None,
        database: Database | None = None,
        search: Search | None = None,
    ) -> None:
        self._search = search or Search()
        self.rng, self.rates, self.time = random.Random(seed), rates or Rates(), Time()  # noqa: S311
        self.database = database or in_memory()
        empty(self.database)
        self.cluster = Cluster(evaluate, self.rng, self.rates.loss)
        self.n_faults = self.n_born = 0
        self._frozen, self._stepping = False, 0
        self._dispatchers: list[Dispatcher] = []
        self._spec = spec

    def run(self) -> End:
        """Until the job is completed. Raises AssertionError when it does not end as it should."""
        patches = (
            mock.patch.object(time, "monotonic", self.time.monotonic),
            mock.patch.object(clock, "utc_now", self.time.utc),
            mock.patch.object(secrets, "randbits", self.rng.getrandbits),
            mock.patch.object(loop, "next_round", self._search.next_round),
            mock.patch.object(loop, "report_of", self._search.report_of),
        )
        with ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch)
            with self.database.write() as session:
                self.job_id, _ = repository.create_job(session, self._spec)
            self._dispatchers = [self._born(), self._born()]
            n_steps = self._run()
        return self._end(n_steps)

    def _run(self) -> int:
        for step in range(MOST_STEPS):
            if self._state() in ("completed", "failed", "cancelled"):
                return step
            self._step(self.rng.randrange(2))
            if self.rng.random() < self.rates.jump:
                self.n_faults += 1
                self.time.ahead_s = 3600.0 - self.time.ahead_s
        raise AssertionError(f"the job does not end: {self._job().state} ({self._job().reason})")

    def _step(self, which: int) -> None:
        self.time.now_s += STEP_S * self.rng.random()
        self._stepping = which
        try:
            self._dispatchers[which].step()
        except Crash:
            self._dispatchers[which] = self._born()
        except OUTAGES:
            self._dispatchers[which]._away = True

    def _born(self) -> Dispatcher:
        which, self.n_born = self.n_born % 2, self.n_born + 1
        view = View(self.cluster, self.rng, self.rates)
        database = FaultyDatabase(self.database, self._happens)
        born = Dispatcher(database, view, lease_s=LEASE_S, poll_s=0.1, owner=f"d{which}:{self.n_born}")
        born._orchestrator.breaker.now_s = self.time.monotonic
        return born

    def _happens(self, moment: str) -> None:
        """Something, perhaps, in the middle of a dispatcher's step."""
        chance = self.rng.random()
        if chance < self.rates.crash and moment != "read":
            self.n_faults += 1
            raise Crash(moment)
        chance -= self.rates.crash
        if chance < self.rates.outage:
            self.n_faults += 1
            raise _away()
        chance -= self.rates.outage
        if chance < self.rates.freeze and moment in ("begin", "committed", "read") and not self._frozen:
            self.n_faults += 1
            self._freeze()

    def _freeze(self) -> None:
        """This dispatcher stands still; its lease runs out, and the other one goes on."""
        self._frozen = True
        stands_still = self._stepping
        for _ in range(self.rng.randint(1, 8)):
            self.time.now_s += self.rng.uniform(0.0, LEASE_S)
            self._step(1 - stands_still)
        self._stepping, self._frozen = stands_still, False

    def _state(self) -> str:
        with self.database.read() as session:
            [(state,)] = _STATE.rows(session.connection(), job=self.job_id)
        return str(state)

    def _job(self) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, self.job_id)

    def _end(self, n_steps: int) -> End:
        job = self._job()
        assert job.state == "completed", f"{job.state}: {job.reason}"
        assert job.lease_owner is None
        with self.database.read() as session:
            states = session.execute(select(Trial.state, func.count()).group_by(Trial.state)).all()
            assert [tuple(row) for row in states] == [("succeeded", job.n_trials)], states
            n_open = session.scalar(select(func.count()).where(Attempt.outcome == ""))
            assert n_open == 0, f"{n_open} attempts are open"
            rows = session.execute(
                select(Trial.id, func.count(), func.max(Epoch.epoch))
                .join(Epoch, (Epoch.trial_id == Trial.id) & (Epoch.attempt == Trial.attempt))
                .group_by(Trial.id)
            ).all()
            n_epochs = self._spec.train.n_epochs
            assert len(rows) == job.n_trials
            assert all((n, last) == (n_epochs, n_epochs - 1) for _, n, last in rows), rows
            report = read(Report, session.get_one(JobReport, self.job_id).report)
            return End(rounds.load_history(session, self.job_id), report, self.n_faults, n_steps)


def _away() -> OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return OperationalError("", {}, error)


def _order(key: PopulationKey) -> tuple[str, int, int, int]:
    return key.job_id, key.round, key.group, key.attempt
