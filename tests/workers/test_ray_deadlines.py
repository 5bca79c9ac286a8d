"""Deadlines of the Ray backend against a stand-in for Ray that never answers: no cluster, no waiting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s2e.words import PlanSpec, Population
from workers import ray_backend
from workers.backend import PopulationKey, PopulationLost
from workers.ray_backend import RayBackend
from workers.ray_start import Connection

KEY = PopulationKey("job", 0, 0, 1)
MakePopulation = Callable[..., Population]


class SilentGenerator:
    """A task that sends nothing and does not end."""

    def next_ready(self) -> bool:
        return False

    def completed(self) -> SilentGenerator:
        return self


class SilentRay:
    """One node of two CPUs on which nothing ever begins or ends."""

    def __init__(self) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.asked: list[dict[str, float]] = []
        self.cancels: list[bool] = []
        self.is_shut_down = False

    def remote(self, **options: Any) -> Callable[[Any], SilentRay.Task]:
        self.tasks.append(options)
        return lambda function: SilentRay.Task(self)

    class Task:
        def __init__(self, ray: SilentRay) -> None:
            self._ray = ray

        def options(self, **asked: float) -> SilentRay.Task:
            self._ray.asked.append(asked)
            return self

        def remote(self, *arguments: Any) -> SilentGenerator:
            return SilentGenerator()

    def wait(self, refs: list[Any], timeout: float, num_returns: int = 1) -> tuple[list[Any], list[Any]]:
        return [], refs

    def cancel(self, generator: SilentGenerator, force: bool = False) -> None:
        self.cancels.append(force)

    def nodes(self) -> list[dict[str, Any]]:
        node = {"NodeManagerHostname": "host", "Resources": {"CPU": 2.0}}
        return [{"Alive": True, "NodeID": "a" * 56, **node}, {"Alive": False, "NodeID": "b" * 56, **node}]

    def shutdown(self) -> None:
        self.is_shut_down = True


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> SilentRay:
    silent = SilentRay()

    def connect(address: str | None, **_: Any) -> Connection:
        return Connection(silent, address is None, silent.shutdown)

    monkeypatch.setattr(ray_backend, "connect", connect)
    return silent


def test_a_cancel_nobody_listens_to_is_forced_once_after_the_grace(
    ray: SilentRay, tmp_path: Path, make_population: MakePopulation
) -> None:
    backend = RayBackend(tmp_path, cancel_grace_s=0.0)
    backend.start(KEY, make_population())
    backend.cancel(KEY)
    assert ray.cancels == [False]
    for _ in range(3):
        assert backend.poll() == []
    assert ray.cancels == [False, True]


def test_within_the_grace_a_cancel_stays_soft(ray: SilentRay, tmp_path: Path, make_population: MakePopulation) -> None:
    backend = RayBackend(tmp_path, cancel_grace_s=1000.0)
    backend.start(KEY, make_population())
    backend.cancel(KEY)
    backend.poll()
    assert ray.cancels == [False]


def test_no_place_in_time_is_a_retryable_loss_though_a_node_is_big_enough(
    ray: SilentRay, tmp_path: Path, make_population: MakePopulation
) -> None:
    backend = RayBackend(tmp_path, placement_timeout_s=0.0)
    backend.start(KEY, make_population(plan=PlanSpec(threads=2)))
    (lost,) = backend.poll()
    assert lost == PopulationLost(KEY, "no place with 2 CPU within 0 s: none was free", True, "no place")
    assert ray.cancels == [False]
    assert backend.running() == frozenset()


@pytest.mark.parametrize(
    ("plan", "asked"),
    [
        (PlanSpec(threads=2), {"num_cpus": 2.0, "num_gpus": 0}),
        (PlanSpec(device="cuda", threads=2), {"num_cpus": 0, "num_gpus": 1.0}),
    ],
    ids=["cpu", "cuda"],
)
def test_a_population_asks_for_its_threads_or_for_one_gpu(
    ray: SilentRay, tmp_path: Path, make_population: MakePopulation, plan: PlanSpec, asked: dict[str, float]
) -> None:
    RayBackend(tmp_path, address="head:6399").start(KEY, make_population(plan=plan))
    assert ray.tasks == [{"num_returns": "streaming", "max_retries": 0}]
    assert ray.asked == [asked]


def test_only_living_nodes_are_workers_and_close_ends_the_cluster_it_began(
    ray: SilentRay, tmp_path: Path, make_population: MakePopulation
) -> None:
    backend = RayBackend(tmp_path)
    backend.start(KEY, make_population())
    (worker,) = backend.workers()
    assert (worker.name, worker.cpus, worker.gpus, worker.busy) == ("host aaaaaaaa", 2.0, 0.0, 0)
    backend.close()
    assert ray.cancels == [False]
    assert ray.is_shut_down


def test_a_cluster_of_our_own_is_warmed_and_a_shared_one_is_not(ray: SilentRay, tmp_path: Path) -> None:
    warming = {"num_cpus": 1, "max_retries": 0}
    RayBackend(tmp_path, address="head:6399")
    assert warming not in ray.tasks
    RayBackend(tmp_path)
    assert warming in ray.tasks
