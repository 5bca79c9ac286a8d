"""Populations of several jobs in one trainer: each has its own numbers, its own end, and its own dispatcher."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s2e.networks.library import instruction_set
from s2e.train.trial import PopulationEnd, PopulationEpoch, train_population
from s2e.words import PlanSpec, Population, replace
from workers.backend import (
    EpochReported,
    Event,
    PopulationFinished,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
)
from workers.ray_backend import RayBackend

pytestmark = [
    pytest.mark.ray,
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(instruction_set() is None, reason="no compiled step"),
]
MakePopulation = Callable[..., Population]
Collect = Callable[..., list[Event]]
WIDE = PopulationKey("wide", 0, 0, 1)


@pytest.fixture
def backend(ray_cluster: Any, tmp_path: Path) -> Iterator[RayBackend]:
    made = RayBackend(tmp_path, linger=True, program_trials=12)
    yield made
    made.close()


def of_jobs(make_population: MakePopulation, *names: str, n_epochs: int) -> dict[PopulationKey, Population]:
    """A population of each job, with seeds of its own."""
    made = make_population(n_epochs=n_epochs, plan=PlanSpec(step="native"))
    jobs = {}
    for i, name in enumerate(names):
        trials = tuple(replace(t, init_seed=10 * i + t.k, order_seed=i, noise_seed=50 + i) for t in made.trials)
        jobs[PopulationKey(name, 0, 0, 1)] = replace(made, trials=trials)
    return jobs


def begin(backend: RayBackend, make_population: MakePopulation, jobs: dict[PopulationKey, Population]) -> list[Event]:
    """Start all jobs while something wide holds every CPU, and let it go; the events up to the first epoch of each."""
    backend.start(WIDE, make_population(n_epochs=5_000, plan=PlanSpec(threads=2)))
    until_s = time.monotonic() + 60
    while not any(isinstance(event, EpochReported) for event in backend.poll(1.0)):
        assert time.monotonic() < until_s
    for key, population in jobs.items():
        backend.start(key, population)
    backend.poll(0.1)
    assert len(backend.riders()) == len(jobs) - 1
    backend.cancel(WIDE)
    events: list[Event] = []
    until_s = time.monotonic() + 60
    while {event.key for event in events if isinstance(event, EpochReported)} != set(jobs):
        assert time.monotonic() < until_s, events
        events += backend.poll(1.0)
    return events


@pytest.mark.slow
def test_jobs_that_wait_train_as_one_program_with_the_numbers_that_each_has_alone(
    backend: RayBackend, make_population: MakePopulation, collect: Collect
) -> None:
    jobs = of_jobs(make_population, "a", "b", n_epochs=30)
    events = begin(backend, make_population, jobs)
    n_ended = sum(isinstance(event, PopulationFinished) for event in events)
    events += collect(backend, 2 - n_ended) if n_ended < 2 else []
    started = [event for event in events if isinstance(event, PopulationStarted)]
    assert len({event.worker for event in started}) == 1
    assert [event.share for event in started] == [0.5, 0.5]
    for key, population in jobs.items():
        *epochs, end = train_population(population)
        assert isinstance(end, PopulationEnd)
        mine = [event for event in events if event.key == key]
        assert [event.epochs for event in mine if isinstance(event, EpochReported)] == [
            step.epochs for step in epochs if isinstance(step, PopulationEpoch)
        ]
        assert isinstance(mine[-1], PopulationFinished)
        assert tuple(replace(result, model=None) for result in mine[-1].results) == end.results


@pytest.mark.slow
def test_one_is_cancelled_one_changes_hands_and_a_crash_loses_each_once(
    backend: RayBackend, tmp_path: Path, make_population: MakePopulation, collect: Collect
) -> None:
    jobs = of_jobs(make_population, "a", "b", "c", n_epochs=5_000)
    a, b, c = jobs
    events = begin(backend, make_population, jobs)
    worker = next(event.worker for event in events if isinstance(event, PopulationStarted))
    backend.cancel(a)
    assert backend.running() == {b, c}
    other = RayBackend(tmp_path, linger=True, program_trials=12)
    backend.leave("b")
    assert list(other.attach("b")) == [b]
    for driver, key in ((backend, c), (other, b)):
        driver.poll(0.0)
        told = [event for _ in range(3) for event in driver.poll(1.0)]
        assert {event.key for event in told} == {key}
    os.kill(int(worker.rpartition(":")[2]), signal.SIGKILL)
    for driver, key in ((backend, c), (other, b)):
        lost = collect(driver, limit_s=20)[-1]
        assert isinstance(lost, PopulationLost)
        assert (lost.key, lost.retryable) == (key, True)
        assert driver.running() == frozenset()
    again = replace(c, attempt=2)
    backend.start(again, jobs[c])
    while not any(isinstance(event, EpochReported) for event in backend.poll(1.0)):
        assert backend.riders() == frozenset()
    backend.cancel(again)
    other.close()
