"""A backend whose own failures are told apart from those of a job: any error of it is a place that does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from s2e.words import PlanSpec, Population
from workers.backend import Event, PopulationKey, TrialBackend, WorkerInfo


class BackendAwayError(Exception):
    """The places that train cannot be reached; no job is at fault."""


class GuardedBackend:
    """``backend``, raising nothing but BackendAwayError."""

    def __init__(self, backend: TrialBackend) -> None:
        self._backend = backend

    def start(
        self, key: PopulationKey, population: Population, *, avoid: frozenset[str] = frozenset(), check: bool = False
    ) -> None:
        with _told():
            self._backend.start(key, population, avoid=avoid, check=check)

    def attach(self, job_id: str) -> dict[PopulationKey, str]:
        with _told():
            return self._backend.attach(job_id)

    def leave(self, job_id: str) -> None:
        with _told():
            self._backend.leave(job_id)

    def lacks(self, plan: PlanSpec, avoid: frozenset[str] = frozenset()) -> str:
        with _told():
            return self._backend.lacks(plan, avoid)

    def poll(self, timeout_s: float = 0.0) -> list[Event]:
        with _told():
            return self._backend.poll(timeout_s)

    def cancel(self, key: PopulationKey) -> None:
        with _told():
            self._backend.cancel(key)

    def pause(self, key: PopulationKey) -> None:
        with _told():
            self._backend.pause(key)

    def running(self) -> frozenset[PopulationKey]:
        with _told():
            return self._backend.running()

    def riders(self) -> frozenset[PopulationKey]:
        with _told():
            return self._backend.riders()

    def open_programs(self) -> dict[str, int]:
        with _told():
            return self._backend.open_programs()

    def workers(self) -> list[WorkerInfo]:
        with _told():
            return self._backend.workers()

    def close(self) -> None:
        with _told():
            self._backend.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise BackendAwayError(f"{type(error).__name__}: {' '.join(str(error).split())[:400]}") from error
