"""Faults that only Ray has: killed trainers, places nobody has, cancels that must free a CPU, cold processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
MakePopulation = Callable[..., Population]
Collect = Callable[..., list[Event]]


@pytest.fixture
def backend(ray_cluster: Any, tmp_path: Path) -> Iterator[RayBackend]:
    made = RayBackend(tmp_path, linger=True)
    yield made
    made.close()


def key(group: int = 0, attempt: int = 1) -> PopulationKey:
    return PopulationKey("job", 0, group, attempt)


def run_to_first_epoch(backend: RayBackend) -> str:
    """Poll until an epoch arrives; the worker that trains."""
    worker = ""
    while True:
        for event in backend.poll(1.0):
            assert not isinstance(event, PopulationLost), event
            if isinstance(event, PopulationStarted):
                worker = event.worker
            if isinstance(event, EpochReported):
                return worker


def test_a_killed_trainer_is_a_retryable_loss_and_the_next_attempt_gives_the_same_numbers(
    backend: RayBackend, make_population: MakePopulation, collect: Collect
) -> None:
    undisturbed = make_population(n_epochs=4)
    backend.start(key(), make_population(n_epochs=5_000))
    worker = run_to_first_epoch(backend)
    os.kill(int(worker.rpartition(":")[2]), signal.SIGKILL)
    lost = collect(backend, limit_s=20)[-1]
    assert isinstance(lost, PopulationLost)
    assert lost.retryable
    assert backend.running() == frozenset()
    rows = {}
    for attempt in (2, 3):
        backend.start(key(attempt=attempt), undisturbed)
        events = collect(backend)
        assert isinstance(events[-1], PopulationFinished)
        rows[attempt] = (
            [event.epochs for event in events if isinstance(event, EpochReported)],
            [replace(result, model=None) for result in events[-1].results],
        )
    assert rows[2] == rows[3]


@pytest.mark.parametrize(
    ("plan", "asked"),
    [(PlanSpec(threads=64), "64 CPU"), (PlanSpec(device="cuda"), "a GPU")],
    ids=["too many CPUs", "no GPU"],
)
def test_resources_nobody_has_end_in_a_loss_that_names_them(
    backend: RayBackend, make_population: MakePopulation, collect: Collect, plan: PlanSpec, asked: str
) -> None:
    """Even while another population trains: waiting for its turn would not help."""
    backend.start(key(0), make_population(n_epochs=5_000))
    run_to_first_epoch(backend)
    backend.placement_timeout_s = 0.5
    backend.start(key(1), make_population(plan=plan))
    lost = next(event for event in collect(backend) if not isinstance(event, EpochReported))
    assert isinstance(lost, PopulationLost)
    assert lost.key == key(1)
    assert lost.retryable
    assert asked in lost.reason
    assert backend.running() == {key(0)}


def test_warm_processes_are_used_again(backend: RayBackend, make_population: MakePopulation, collect: Collect) -> None:
    workers = []
    for wave in range(3):
        for group in range(2):
            backend.start(key(10 * wave + group), make_population(ks=(group,), n_epochs=2))
        events = collect(backend, 2)
        workers.append({event.worker for event in events if isinstance(event, PopulationStarted)})
    assert len(set.union(*workers)) <= 2


def test_a_population_that_waits_for_its_turn_is_not_given_up(
    backend: RayBackend, make_population: MakePopulation, collect: Collect
) -> None:
    """The placement time-out of 0.2 s passes several times while the first population holds both CPUs."""
    wide = PlanSpec(threads=2)
    backend.start(key(0), make_population(n_epochs=5_000, plan=wide))
    run_to_first_epoch(backend)
    backend.placement_timeout_s = 0.2
    backend.start(key(1), make_population(n_epochs=1, plan=wide))
    until_s = time.monotonic() + 1.0
    while time.monotonic() < until_s:
        assert all(isinstance(event, EpochReported) for event in backend.poll(0.2))
    assert key(1) in backend.running()
    backend.placement_timeout_s = 60.0
    backend.cancel(key(0))
    assert isinstance(collect(backend)[-1], PopulationFinished)


def test_a_soft_cancel_frees_the_cpu_and_keeps_the_process(
    backend: RayBackend, ray_cluster: Any, make_population: MakePopulation
) -> None:
    wide = PlanSpec(threads=2)
    backend.start(key(0), make_population(n_epochs=5_000, plan=wide))
    worker = run_to_first_epoch(backend)
    backend.cancel(key(0))
    backend.start(key(1), make_population(n_epochs=5_000, plan=wide))
    run_to_first_epoch(backend)
    assert os.kill(int(worker.rpartition(":")[2]), 0) is None


def test_the_driver_imports_no_torch_and_ray_only_when_it_connects() -> None:
    code = "import sys, workers.ray_backend; print(sorted({'torch', 'ray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
