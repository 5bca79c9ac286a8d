"""Populations trained in this process, for tests and for a search without a service."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from s2e.words import PlanSpec, Population, replace, to_json
from workers import pausing
from workers.backend import (
    Event,
    PopulationChecked,
    PopulationFinished,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
    WorkerInfo,
)
from workers.trainer import run_population, worker_name
from workers.wire import decode


class InlineBackend:
    """Each ``poll`` does the work up to the next event (one epoch), however long that takes.

    Populations are trained one after another: a second stack of weights between two epochs would empty the caches.
    """

    def __init__(self, artifact_root: str | Path, data_root: str | Path | None = None) -> None:
        self._artifact_root = str(artifact_root)
        self._data_root = None if data_root is None else str(data_root)
        self._known: set[PopulationKey] = set()
        self._queue: dict[PopulationKey, Generator[dict[str, Any]]] = {}

    def start(
        self,
        key: PopulationKey,
        population: Population,
        *,
        avoid: frozenset[str] = frozenset(),  # noqa: ARG002  there is one place, and lacks() tells of it
        check: bool = False,
    ) -> None:
        if key in self._known:
            return
        self._known.add(key)
        where = self._artifact_root, self._data_root
        self._queue[key] = run_population(to_json(key), to_json(population), *where, check)

    def attach(self, job_id: str) -> dict[PopulationKey, str]:  # noqa: ARG002  nothing outlives this process
        return {}

    def leave(self, job_id: str) -> None:
        for key in [key for key in self._queue if key.job_id == job_id]:
            self.cancel(key)

    def lacks(self, plan: PlanSpec, avoid: frozenset[str] = frozenset()) -> str:  # noqa: ARG002  trains what it can
        return "this process is to be avoided" if worker_name() in avoid else ""

    def poll(self, timeout_s: float = 0.0) -> list[Event]:  # noqa: ARG002  the work is done here, there is no waiting
        if not self._queue:
            return []
        key, events = next(iter(self._queue.items()))
        event = decode(next(events))
        if isinstance(event, PopulationStarted | PopulationLost):
            event = replace(event, place=worker_name())
        if isinstance(event, PopulationFinished | PopulationLost | PopulationChecked):
            self.cancel(key)
        return [event]

    def cancel(self, key: PopulationKey) -> None:
        events = self._queue.pop(key, None)
        if events is not None:
            events.close()

    def pause(self, key: PopulationKey) -> None:
        if key in self._queue:
            pausing.ask(self._artifact_root, key)

    def running(self) -> frozenset[PopulationKey]:
        return frozenset(self._queue)

    def riders(self) -> frozenset[PopulationKey]:
        return frozenset()

    def open_programs(self) -> dict[str, int]:
        return {}

    def workers(self) -> list[WorkerInfo]:
        return [WorkerInfo(worker_name(), float(os.cpu_count() or 1), 0.0, int(bool(self._queue)))]

    def close(self) -> None:
        for key in list(self._queue):
            self.cancel(key)
