"""Populations of several jobs that ride together: a place is counted once, and nobody is overtaken by it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.words import DataSpec, JobSpec, NoiseSpec, PlanSpec, Population, TrainSpec, replace
from s2e.words.fidelity import Fidelity
from service.dispatch.budgets import took_s
from service.dispatch.dispatcher import Dispatcher
from service.dispatch.known import InFlight, KnownJob
from service.store import repository
from service.store.engine import Database
from service.store.models import Job, Trial
from workers.backend import TOO_MANY, PopulationKey, PopulationLost
from workers.crowd import Crowd
from workers.program import MOST_POPULATIONS, may_join, program_of
from workers.simulated import SimulatedBackend, SimulatedTrial

SMALL = parse_job(
    {
        "train": {"n_epochs": 2},
        "plan": {"step": "native"},
        "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
        "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.2]},
    }
)
UNLIKE = replace(SMALL, train=replace(SMALL.train, batch_size=64))


@dataclass(frozen=True)
class Asked:
    """A population that waits."""

    key: PopulationKey
    program: str
    n_trials: int


class Crowded(SimulatedBackend):
    """Populations that wait for its places are in programs, as on Ray."""

    crowd = Crowd(12)

    def riders(self) -> frozenset[PopulationKey]:
        return frozenset(asked.key for program in self.crowd.programs(self._asked()) for asked in program[1:])

    def open_programs(self) -> dict[str, int]:
        return self.crowd.open_programs(self._asked())

    def _asked(self) -> list[Asked]:
        return [Asked(key, "" if check else program_of(p), len(p.trials)) for key, p, _, check in self._queue]


def evaluate(trial: Any) -> SimulatedTrial:
    return SimulatedTrial.constant(0.5, len(trial.keep_rate))


def submit(database: Database, spec: JobSpec, **more: str) -> str:
    with database.write() as session:
        return repository.create_job(session, spec, **more)[0]


@pytest.fixture
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.mark.usefixtures("quiet")
def test_jobs_ride_along_take_no_place_and_end_as_they_would(database: Database) -> None:
    """One is cancelled on the way. One of another batch size rides with nobody."""
    jobs = [submit(database, replace(SMALL, seed=seed)) for seed in range(4)]
    unlike = submit(database, UNLIKE)
    backend = Crowded(evaluate, n_workers=1)
    dispatcher, most, states = Dispatcher(database, backend), 0, dict[str, str]()
    for _ in range(400):
        dispatcher.step()
        riders = backend.riders()
        assert len(backend.running() - riders) <= 2  # one that trains, and one that waits
        assert all(key.job_id != unlike for key in riders) or len({key.job_id for key in backend.running()}) == 1
        most = max(most, len(backend.running()))
        with database.write() as session:
            states = {row.id: row.state for row in session.execute(select(Job.id, Job.state))}
            if most > 2 and states[jobs[1]] == "running":
                repository.cancel_job(session, jobs[1])
        if set(states.values()) <= {"completed", "cancelled"}:
            break
    assert most > 3
    assert states == {job: "cancelled" if job == jobs[1] else "completed" for job in [*jobs, unlike]}
    with database.read() as session:
        succeeded = select(func.count()).where(Trial.job_id == jobs[0], Trial.state == "succeeded")
        assert session.scalar(succeeded) == loop.n_trials(SMALL)


def populations(spec: JobSpec) -> tuple[Population, ...]:
    round_ = loop.next_round(spec, [])
    assert round_ is not None
    return loop.populations(spec, round_)


def test_only_what_keeps_its_bits_has_a_program() -> None:
    (small,) = populations(SMALL)
    (other,) = populations(replace(SMALL, seed=9, name="another", plan=replace(SMALL.plan, population=7)))
    assert program_of(small) == program_of(other) != ""
    assert program_of(small) != program_of(populations(UNLIKE)[0])
    noisy = replace(small.data, noise=NoiseSpec("symmetric", 0.3))
    assert program_of(replace(small, data=noisy)) not in ("", program_of(small))
    continued = (replace(small.trials[0], fidelity=Fidelity(2, 1.0, (0, 0), 1)),)
    never: list[Population] = [
        replace(small, plan=replace(small.plan, step="torch")),
        replace(small, plan=PlanSpec(step="native", device="cuda")),
        replace(small, train=replace(small.train, method="elr")),
        replace(small, train=TrainSpec(network="model1", n_epochs=2)),
        replace(small, train=replace(small.train, network="torchvision:resnet18")),
        replace(small, data=replace(DataSpec(), validation_labels="noisy")),
        replace(small, trials=continued),
    ]
    assert [program_of(population) for population in never] == [""] * len(never)
    assert may_join(PopulationKey("job", 0, 0, 1))
    assert not may_join(PopulationKey("job", 0, 0, 2))


def test_programs_are_filled_in_order_and_leave_other_places_their_share() -> None:
    crowd, number = Crowd(12), itertools.count()

    def asked(program: str, n_trials: int) -> Asked:
        return Asked(PopulationKey("job", 0, next(number), 1), program, n_trials)

    waiting = [asked("x", 5), asked("", 1), asked("x", 5), asked("y", 1), asked("x", 5), asked("", 1)]
    programs = crowd.programs(waiting)
    assert [[one.key.group for one in program] for program in programs] == [[0, 2], [1], [3], [4], [5]]
    assert crowd.open_programs(waiting) == {"x": 7, "y": 11}
    alike = [asked("x", 1) for _ in range(20)]
    assert len(crowd.beside(alike[0], alike[1:], 1)) == MOST_POPULATIONS
    assert len(crowd.beside(alike[0], alike[1:6], 2)) == 3
    assert len(crowd.beside(alike[0], alike[1:2], 4)) == 1
    assert len(crowd.beside(asked("", 1), alike, 1)) == 1
    crowd.ended(PopulationLost(alike[0].key, "no room", True, TOO_MANY))
    assert len(crowd.beside(alike[0], alike[1:], 1)) == 6
    assert Crowd(1).open_programs(alike) == {}


def test_time_of_a_shared_place_is_shared() -> None:
    key = PopulationKey("job", 0, 0, 1)
    flight = InFlight(populations(SMALL)[0], "here", began_s=10.0, share=0.25)
    known = KnownJob(SMALL, in_flight={key: flight})
    assert took_s(known, [PopulationLost(key, "", True)], 30.0) == 5.0
