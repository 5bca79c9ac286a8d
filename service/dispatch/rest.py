"""Rest of a local Ray: while there is nothing to train its processes are ended; the next job has them started again.

A dispatcher that has led no job for a while leaves a note, lets go of Ray and ends. Its supervisor ends Ray as long as
the note is there, and starts the dispatcher again, which now has a :class:`RestingBackend`: the first job that needs a
place wakes it, and takes the note away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from s2e.files import write_atomic
from s2e.words import PlanSpec, Population
from workers.backend import Event, PopulationKey, TrialBackend, WorkerInfo

NOTE = "S2E_REST_FILE"
"""The environment variable by which a supervisor that ends and starts Ray says where it looks for the note."""


@dataclass(frozen=True)
class Rest:
    """The note on which a dispatcher and its supervisor agree."""

    note: Path
    after_s: float
    """Seconds without a job."""

    @classmethod
    def of(cls, after_s: float) -> Self | None:
        """None where nobody would start Ray again, or where it is never to rest (0)."""
        note = os.environ.get(NOTE)
        return cls(Path(note), after_s) if note and after_s else None

    def is_on(self) -> bool:
        """True while Ray is not wanted."""
        return self.note.exists()

    def begin(self, places: Sequence[WorkerInfo]) -> None:
        """Ray may end; ``places`` are those that it has had."""
        write_atomic(self.note, json.dumps([asdict(place) for place in places]).encode())

    def places(self) -> list[WorkerInfo]:
        """The places that there are again as soon as Ray is."""
        return [replace(WorkerInfo(**place), busy=0) for place in json.loads(self.note.read_text())]

    def end(self) -> None:
        """Ray is wanted."""
        self.note.unlink(missing_ok=True)


class RestingBackend:
    """A backend that ``wake`` makes when a job needs a place; until then it trains nothing, at ``places``."""

    def __init__(self, places: Sequence[WorkerInfo], wake: Callable[[], TrialBackend]) -> None:
        self._places, self._wake = list(places), wake
        self._backend: TrialBackend | None = None

    def start(
        self, key: PopulationKey, population: Population, *, avoid: frozenset[str] = frozenset(), check: bool = False
    ) -> None:
        self._awake().start(key, population, avoid=avoid, check=check)

    def lacks(self, plan: PlanSpec, avoid: frozenset[str] = frozenset()) -> str:
        return self._awake().lacks(plan, avoid)

    def attach(self, job_id: str) -> dict[PopulationKey, str]:
        return self._awake().attach(job_id)

    def leave(self, job_id: str) -> None:
        if self._backend is not None:
            self._backend.leave(job_id)

    def poll(self, timeout_s: float = 0.0) -> list[Event]:
        return [] if self._backend is None else self._backend.poll(timeout_s)

    def cancel(self, key: PopulationKey) -> None:
        if self._backend is not None:
            self._backend.cancel(key)

    def pause(self, key: PopulationKey) -> None:
        if self._backend is not None:
            self._backend.pause(key)

    def running(self) -> frozenset[PopulationKey]:
        return frozenset() if self._backend is None else self._backend.running()

    def riders(self) -> frozenset[PopulationKey]:
        return frozenset() if self._backend is None else self._backend.riders()

    def open_programs(self) -> dict[str, int]:
        return {} if self._backend is None else self._backend.open_programs()

    def workers(self) -> list[WorkerInfo]:
        return self._places if self._backend is None else self._backend.workers()

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()

    def _awake(self) -> TrialBackend:
        if self._backend is None:
            self._backend = self._wake()
        return self._backend
