"""Whose turn it is: one queue over all jobs that a dispatcher leads, fair between them.

A turn is one small step of a job: a piece of a round written, or one population started. A job gets one when something
about it has changed, when it has more to do, or when a place is free and it has populations waiting. Fewest populations
under way come first, then those whose last start is the longest ago, a job that had none yet before all others: it is
never behind the work of a job that came earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count


class Turns:
    """The led jobs and what each waits for. It holds no truth: whoever forgets it may wake every job."""

    def __init__(self) -> None:
        self._ready: set[str] = set()
        self._hungry: set[str] = set()
        self._served: dict[str, int] = {}
        self._seen: dict[str, object] = {}
        self._clock = count(1)

    def wake(self, job_id: str) -> None:
        """Something happened to a job: it gets a turn."""
        self._ready.add(job_id)

    def see(self, states: Mapping[str, object]) -> None:
        """Wake the jobs whose state in the database is another than when it was last seen."""
        for job_id, state in states.items():
            if self._seen.get(job_id) != state:
                self._seen[job_id] = state
                self._ready.add(job_id)

    def wait_for_place(self, job_id: str) -> None:
        """A job has populations to start and found no place: it gets a turn when there is one."""
        self._hungry.add(job_id)

    def started(self, job_id: str) -> None:
        """A population of a job was started: of those that wait, the others come first now."""
        self._served[job_id] = next(self._clock)

    def forget(self, job_id: str) -> None:
        """A job is no longer led."""
        self._ready.discard(job_id)
        self._hungry.discard(job_id)
        self._served.pop(job_id, None)
        self._seen.pop(job_id, None)

    @property
    def pressing(self) -> bool:
        """Whether a job has something to do now."""
        return bool(self._ready)

    def take(self, has_room: Callable[[str], bool], n_under_way: Mapping[str, int]) -> Iterator[str]:
        """The jobs whose turn it is, in their order. One that only waits for a place is asked when it comes to it."""
        order = sorted(
            self._ready | self._hungry,
            key=lambda job_id: (n_under_way.get(job_id, 0), self._served.get(job_id, 0), job_id),
        )
        for job_id in order:
            if job_id in self._ready or (job_id in self._hungry and has_room(job_id)):
                self._ready.discard(job_id)
                self._hungry.discard(job_id)
                yield job_id
