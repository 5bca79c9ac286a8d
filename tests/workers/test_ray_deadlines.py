"""Deadlines of the Ray backend against a stand-in for Ray that never answers: no cluster, no waiting."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s2e.words import PlanSpec, Population, replace
from workers import ray_backend
from workers.backend import PopulationKey, PopulationLost
from workers.detached import RELEASE
from workers.ray_backend import RayBackend
from workers.ray_start import Connection

KEY = PopulationKey("job", 0, 0, 1)
exceptions = types.SimpleNamespace(RayError=RuntimeError, OutOfMemoryError=MemoryError)
MakePopulation = Callable[..., Population]


class Call:
    """A question to an actor, which it never answers unless ``answer`` is there."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer


class SilentRay:
    """One node of two CPUs. Trainers get there, and begin, but they tell nothing and do not stop."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.killed = 0
        self.is_shut_down = False
        self.places = True
        self.release, self.left = RELEASE, ""
        """Of the trainers there are, and the job that one of them trains which another driver has left."""
        self.util = self
        self.exceptions = exceptions

    def remote(self, _class: type) -> SilentRay:
        return self

    def options(self, **asked: Any) -> Any:
        self.asked.append(asked)
        return Maker(self)

    def list_named_actors(self, all_namespaces: bool) -> list[dict[str, str]]:
        assert all_namespaces
        others = [{"name": "s2e-trainer-other", "namespace": "elsewhere"}]
        return [*others, {"name": "s2e-trainer-left", "namespace": "s2e"}] if self.left else others

    def get_actor(self, name: str, namespace: str) -> Actor:
        assert (name, namespace) == ("s2e-trainer-left", "s2e")
        return Actor(self, {"CPU": 1.0})

    def wait(self, calls: list[Call], timeout: float, num_returns: int = 1) -> tuple[list[Call], list[Call]]:
        return [c for c in calls if c.answer is not None], [c for c in calls if c.answer is None]

    def get(self, call: Call) -> Any:
        return call.answer

    def kill(self, _actor: Any) -> None:
        self.killed += 1

    def nodes(self) -> list[dict[str, Any]]:
        node = {"NodeManagerHostname": "host", "Resources": {"CPU": 2.0}}
        return [{"Alive": True, "NodeID": "a" * 56, **node}, {"Alive": False, "NodeID": "b" * 56, **node}]

    def shutdown(self) -> None:
        self.is_shut_down = True


class Maker:
    """The result of ``options``: it makes actors."""

    def __init__(self, ray: SilentRay) -> None:
        self._ray = ray

    def remote(self, asks: dict[str, float], *_limits: Any) -> Any:
        return Actor(self._ray, asks)


class Actor:
    """Every method of it can be called."""

    def __init__(self, ray: SilentRay, asks: dict[str, float]) -> None:
        self._ray, self._asks = ray, asks

    def __getattr__(self, name: str) -> Any:
        return Method(self._ray, self._asks, name)


class Method:
    def __init__(self, ray: SilentRay, asks: dict[str, float], name: str) -> None:
        self._ray, self._asks, self._name = ray, asks, name

    def remote(self, *_arguments: Any) -> Call:
        self._ray.calls.append(self._name)
        match self._name:
            case "state" if self._ray.places:
                left = {"job_id": self._ray.left, "round": 0, "group": 0, "attempt": 1}
                return Call(
                    {
                        "release": self._ray.release,
                        "node": "a" * 56,
                        "asks": self._asks,
                        "keys": [left] if self._ray.left else [],
                    }
                )
            case "begin":
                return Call({"first": 0, "events": []})
        return Call()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> SilentRay:
    silent = SilentRay()

    def connect(address: str | None, **_: Any) -> Connection:
        return Connection(silent, address is None, silent.shutdown)

    monkeypatch.setattr(ray_backend, "connect", connect)
    return silent


def test_a_trainer_that_does_not_listen_is_ended_once_after_the_grace(
    ray: SilentRay, tmp_path: Path, make_population: MakePopulation
) -> None:
    backend = RayBackend(tmp_path, cancel_grace_s=-ray_backend.FROZEN_S, warm_processes=0)
    backend.start(KEY, make_population())
    for _ in range(2):
        assert backend.poll() == []
    assert [worker.busy for worker in backend.workers()] == [1]
    backend.cancel(KEY)
    assert (ray.calls.count("stop"), ray.killed) == (1, 0)
    for _ in range(3):
        assert backend.poll() == []
    assert (ray.calls.count("stop"), ray.killed) == (1, 1)


def test_within_the_grace_a_cancel_stays_soft(ray: SilentRay, tmp_path: Path, make_population: MakePopulation) -> None:
    backend = RayBackend(tmp_path, cancel_grace_s=1000.0, warm_processes=0)
    backend.start(KEY, make_population())
    backend.poll()
    backend.cancel(KEY)
    backend.poll()
    assert (ray.calls.count("stop"), ray.killed) == (1, 0)


def test_no_place_in_time_is_a_retryable_loss_though_a_node_is_big_enough(
    ray: SilentRay, tmp_path: Path, make_population: MakePopulation
) -> None:
    ray.places = False
    backend = RayBackend(tmp_path, placement_timeout_s=0.0, warm_processes=0)
    backend.start(KEY, make_population(plan=PlanSpec(threads=2)))
    (lost,) = backend.poll()
    assert lost == PopulationLost(KEY, "no place with 2 CPU within 0 s: none was free", True, "no place")
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
    backend = RayBackend(tmp_path, address="head:6399", namespace="ours")
    backend.start(KEY, make_population(plan=plan))
    backend.poll()
    (options,) = ray.asked
    assert options.items() >= asked.items()
    assert (options["namespace"], options["lifetime"], options["max_restarts"]) == ("ours", "detached", 0)


def test_what_the_last_poll_told_is_acknowledged_by_the_next_and_not_by_leaving(
    ray: SilentRay, tmp_path: Path, make_population: MakePopulation
) -> None:
    backend = RayBackend(tmp_path, warm_processes=0)
    backend.start(KEY, make_population())
    backend.poll()
    backend.poll()
    assert ray.calls == ["state", "begin"]
    backend.poll()
    assert ray.calls[2:] == ["events"]
    backend.leave(KEY.job_id)
    backend.close()
    assert ray.calls[2:] == ["events"]
    assert ray.killed == 0


def test_only_living_nodes_are_workers_and_close_ends_the_cluster_it_began(
    ray: SilentRay, tmp_path: Path, make_population: MakePopulation
) -> None:
    backend = RayBackend(tmp_path)
    backend.start(KEY, make_population())
    (worker,) = backend.workers()
    assert (worker.name, worker.cpus, worker.gpus, worker.busy) == ("host aaaaaaaa", 2.0, 0.0, 0)
    backend.close()
    assert ray.is_shut_down


def test_a_cluster_of_our_own_is_warmed_and_a_shared_one_is_not(ray: SilentRay, tmp_path: Path) -> None:
    RayBackend(tmp_path, address="head:6399")
    assert ray.asked == []
    RayBackend(tmp_path)
    assert [asked["num_cpus"] for asked in ray.asked] == [1.0, 1.0]


def test_idle_trainers_of_another_shape_make_room_but_are_never_killed(
    ray: SilentRay, tmp_path: Path, make_population: MakePopulation
) -> None:
    """Another dispatcher may have given them work since they were last seen."""
    backend = RayBackend(tmp_path)
    backend.start(KEY, make_population())
    backend.poll()
    assert ray.calls.count("begin") == 1
    ray.places = False
    backend.start(replace(KEY, group=1), make_population(plan=PlanSpec(threads=2)))
    backend.poll()
    assert [asked["num_cpus"] for asked in ray.asked] == [1.0, 1.0, 2.0]
    assert ray.calls.count("end_if_idle") == 1
    assert ray.killed == 0


@pytest.mark.parametrize("release", [RELEASE, "0.0.9"])
def test_what_a_driver_left_is_attached_to_unless_an_upgrade_left_it_behind(
    ray: SilentRay, tmp_path: Path, release: str
) -> None:
    ray.left, ray.release = "job", release
    backend = RayBackend(tmp_path, address="head:6399")
    assert backend.attach("another job") == {}
    taken = {KEY: "host aaaaaaaa"} if release == RELEASE else {}
    assert backend.attach("job") == taken
    assert backend.running() == set(taken)
    assert ray.killed == (not taken)
