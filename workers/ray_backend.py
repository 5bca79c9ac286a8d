"""Populations as Ray tasks: one streaming generator task each, spread over the devices of a cluster.

This is driver code and imports no torch. Ray never retries (``max_retries=0``): a retried generator silently mixes
the items of two runs, so a lost population is an event and whoever drives decides.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2e.words import PlanSpec, Population, replace, to_json
from workers import pausing
from workers.backend import (
    LOST_TRAINER,
    OUT_OF_MEMORY,
    Event,
    PopulationChecked,
    PopulationFinished,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
    WorkerInfo,
)
from workers.ray_start import connect
from workers.trainer import run_on_ray, warm_up
from workers.wire import decode

CANCEL_GRACE_S = 10.0
"""A soft cancel is a KeyboardInterrupt, which one long C call can delay; after this the process is killed."""
_LONGEST_WAIT_S = 1.0
"""Deadlines of waiting and cancelled populations are looked at this often, however long a poll may wait."""
_OBJECT_STORE_BYTES = 100 * 2**20
"""Events are small and models go to files, so the object store stays nearly empty."""


@dataclass
class _Flight:
    """A population that was handed to Ray."""

    key: PopulationKey
    generator: Any
    asks: dict[str, float]
    since_s: float
    """When it began to wait for a place."""
    node: str = ""
    """The id of the node it was placed on; empty while it waits."""
    place: str = ""
    """The name of that node."""


def resources(plan: PlanSpec) -> dict[str, float]:
    """Resources that one population occupies, by Ray's names."""
    return {"GPU": 1.0} if plan.device == "cuda" else {"CPU": float(plan.threads)}


class RayBackend:
    """Trains on the cluster at ``address``, or on a cluster of its own on this machine.

    A population nobody could ever hold, or that found no place for ``placement_timeout_s`` while no other of this
    backend was training, is lost with that reason; one that only waits for its turn is left alone.
    """

    def __init__(
        self,
        artifact_root: str | Path,
        data_root: str | Path | None = None,
        *,
        address: str | None = None,
        num_cpus: int | None = None,
        num_gpus: int | None = None,
        placement_timeout_s: float = 60.0,
        cancel_grace_s: float = CANCEL_GRACE_S,
        object_store_bytes: int = _OBJECT_STORE_BYTES,
        warm_processes: int = 2,
        pass_on: Iterable[str] = (),
    ) -> None:
        self._connection = connect(
            address,
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            object_store_bytes=object_store_bytes,
            pass_on=pass_on,
        )
        self._ray = self._connection.ray
        self._train = self._ray.remote(num_returns="streaming", max_retries=0)(run_on_ray)
        self._roots = (
            str(Path(artifact_root).resolve()),
            None if data_root is None else str(Path(data_root).resolve()),
        )
        self.placement_timeout_s = placement_timeout_s
        self._cancel_grace_s = cancel_grace_s
        self._known: set[PopulationKey] = set()
        self._flights: dict[PopulationKey, _Flight] = {}
        self._cancelled: list[tuple[Any, float]] = []
        self._looked_s = 0.0
        if self._connection.is_own:
            self._warm(warm_processes)

    def start(
        self, key: PopulationKey, population: Population, *, avoid: frozenset[str] = frozenset(), check: bool = False
    ) -> None:
        if key in self._known:
            return
        self._known.add(key)
        asks = resources(population.plan)
        options: dict[str, Any] = {"num_cpus": asks.get("CPU", 0), "num_gpus": asks.get("GPU", 0)}
        if avoided := sorted(node["NodeID"] for node in self._nodes() if _name(node) in avoid):
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(avoided)})"}
        generator = self._train.options(**options).remote(to_json(key), to_json(population), *self._roots, check)
        self._flights[key] = _Flight(key, generator, asks, time.monotonic())

    def lacks(self, plan: PlanSpec, avoid: frozenset[str] = frozenset()) -> str:
        asks, nodes = resources(plan), self._nodes()
        able = [node for node in nodes if _fits(node["Resources"], asks)]
        if any(_name(node) not in avoid for node in able):
            return ""
        if able:
            return f"{_words(asks)} only on {', '.join(sorted(map(_name, able)))}"
        return f"no node has {_words(asks)}" if nodes else "no node is there"

    def poll(self, timeout_s: float = 0.0) -> list[Event]:
        self._force_cancelled()
        if not self._flights:
            return []
        generators = [flight.generator for flight in self._flights.values()]
        self._ray.wait(generators, num_returns=1, timeout=min(timeout_s, _LONGEST_WAIT_S))
        events = [event for flight in list(self._flights.values()) for event in self._drain(flight)]
        return events + self._give_up_unplaced()

    def cancel(self, key: PopulationKey) -> None:
        flight = self._flights.pop(key, None)
        if flight is not None:
            self._cancel(flight)

    def pause(self, key: PopulationKey) -> None:
        if key in self._flights:
            pausing.ask(self._roots[0], key)

    def running(self) -> frozenset[PopulationKey]:
        return frozenset(self._flights)

    def workers(self) -> list[WorkerInfo]:
        nodes = self._nodes()
        busy = [flight.node for flight in self._flights.values()]
        return [
            WorkerInfo(
                name=_name(node),
                cpus=node["Resources"].get("CPU", 0.0),
                gpus=node["Resources"].get("GPU", 0.0),
                busy=busy.count(node["NodeID"]),
            )
            for node in nodes
        ]

    def close(self) -> None:
        for key in list(self._flights):
            self.cancel(key)
        self._connection.close()

    def _warm(self, n_processes: int) -> None:
        """Let new trainer processes import the engine at once, and not when their first population waits for them."""
        task = self._ray.remote(num_cpus=1, max_retries=0)(warm_up)
        for _ in range(n_processes):
            task.remote()

    def _drain(self, flight: _Flight) -> list[Event]:
        """Events a population has sent since the last look. A failure of Ray's is the place's, never the trial's."""
        events: list[Event] = []
        while flight.key in self._flights and flight.generator.next_ready():
            try:
                item = self._ray.get(next(flight.generator))
            except self._ray.exceptions.RayError as error:
                event: Event = PopulationLost(flight.key, _reason(error), True, self._cause(error))
            else:
                if item["kind"] == "placed":
                    flight.node, flight.place = item["node"], self._place(item["node"])
                    continue
                event = decode(item)
            if isinstance(event, PopulationStarted | PopulationLost):
                event = replace(event, place=flight.place)
            events.append(event)
            if isinstance(event, PopulationFinished | PopulationLost | PopulationChecked):
                del self._flights[flight.key]
        return events

    def _cause(self, error: Exception) -> str:
        """Ray ends the trainers of a host that runs out of memory, and says so."""
        return OUT_OF_MEMORY if isinstance(error, self._ray.exceptions.OutOfMemoryError) else LOST_TRAINER

    def _place(self, node_id: str) -> str:
        return next((_name(node) for node in self._ray.nodes() if node["NodeID"] == node_id), node_id[:8])

    def _give_up_unplaced(self) -> list[Event]:
        now_s = time.monotonic()
        waiting = [flight for flight in self._flights.values() if not flight.node]
        if not waiting or now_s - self._looked_s < min(_LONGEST_WAIT_S, self.placement_timeout_s):
            return []
        self._looked_s = now_s
        training = len(waiting) < len(self._flights)
        events: list[Event] = []
        for flight in waiting:
            fits = any(_fits(node["Resources"], flight.asks) for node in self._nodes())
            if fits and training:
                flight.since_s = now_s
            elif now_s - flight.since_s >= self.placement_timeout_s:
                self.cancel(flight.key)
                events.append(PopulationLost(flight.key, self._unplaced(flight, fits), True, "no place"))
        return events

    def _unplaced(self, flight: _Flight, fits: bool) -> str:
        why = "none was free" if fits else "no node has that much"
        return f"no place with {_words(flight.asks)} within {self.placement_timeout_s:g} s: {why}"

    def _cancel(self, flight: _Flight) -> None:
        self._ray.cancel(flight.generator)
        self._cancelled.append((flight.generator, time.monotonic() + self._cancel_grace_s))

    def _force_cancelled(self) -> None:
        """Forget cancelled populations that ended; kill the process of one that did not listen."""
        still: list[tuple[Any, float]] = []
        for generator, deadline_s in self._cancelled:
            ended, _ = self._ray.wait([generator.completed()], timeout=0)
            if ended:
                continue
            if time.monotonic() >= deadline_s:
                self._ray.cancel(generator, force=True)
            else:
                still.append((generator, deadline_s))
        self._cancelled = still

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} {node['NodeID'][:8]}"


def _fits(total: dict[str, float], asks: dict[str, float]) -> bool:
    return all(total.get(name, 0) >= n for name, n in asks.items())


def _words(asks: dict[str, float]) -> str:
    """What a population asks for, in words."""
    return "a GPU" if "GPU" in asks else f"{asks['CPU']:g} CPU"


def _reason(error: Exception) -> str:
    """Ray's long messages in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
