"""Turns of jobs: one queue over all jobs that a dispatcher leads, fair between owners and between their jobs.

A turn is one small step of a job: a piece of a round written, or one population started. A job gets one when something
about it has changed, when it has more to do, or when a place is free and it has populations waiting. The owner with the
fewest populations under way comes first, however many jobs they are of, then the owner whose last start is the longest
ago. Among the jobs of one owner the priority decides; among equals the same rule as between owners, and a job that had
no start yet comes before all others: it is never behind the work of a job that came earlier.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True)
class Claim:
    """A job's claim to a turn: its owner, and its priority among the owner's jobs."""

    owner: str = ""
    priority: int = 0


_NOBODYS = Claim()


class Turns:
    """The led jobs, and what each waits for. It holds no truth: if it is lost, waking every job makes up for it."""

    def __init__(self) -> None:
        self._ready: set[str] = set()
        self._hungry: set[str] = set()
        self._served: dict[str, int] = {}
        self._owner_served: dict[str, int] = {}
        self._claims: dict[str, Claim] = {}
        self._seen: dict[str, object] = {}
        self._clock = count(1)
        self._under_way: Counter[str] = Counter()
        self._of_owner: Counter[str] = Counter()

    def wake(self, job_id: str) -> None:
        """Something happened to a job: it gets a turn."""
        self._ready.add(job_id)

    def see(self, states: Mapping[str, object]) -> None:
        """Wake the jobs whose state in the database is another than when it was last seen."""
        for job_id, state in states.items():
            if self._seen.get(job_id) != state:
                self._seen[job_id] = state
                self._ready.add(job_id)

    def claim(self, job_id: str, claim: Claim) -> None:
        """Set a job's owner and priority, on which its place in the queue rests."""
        self._claims[job_id] = claim

    def wait_for_place(self, job_id: str) -> None:
        """A job has populations to start and found no place: it gets a turn when there is one."""
        self._hungry.add(job_id)

    def started(self, job_id: str) -> None:
        """A population of a job was started: of those that wait, the others come first now."""
        owner = self._claims.get(job_id, _NOBODYS).owner
        self._served[job_id] = self._owner_served[owner] = next(self._clock)
        self._under_way[job_id] += 1
        self._of_owner[owner] += 1

    def forget(self, job_id: str) -> None:
        """A job is no longer led."""
        self._ready.discard(job_id)
        self._hungry.discard(job_id)
        self._served.pop(job_id, None)
        self._claims.pop(job_id, None)
        self._seen.pop(job_id, None)

    @property
    def pressing(self) -> bool:
        """True if a job has something to do now."""
        return bool(self._ready)

    def take(self, has_room: Callable[[str], bool], n_under_way: Mapping[str, int]) -> Iterator[str]:
        """The jobs whose turn it is, each once, in order; populations started meanwhile count for the jobs that follow.
        For a job that only waits for a place, ``has_room`` is asked when its turn comes."""
        self._under_way = Counter(n_under_way)
        self._of_owner = Counter()
        for job_id, n in n_under_way.items():
            self._of_owner[self._claims.get(job_id, _NOBODYS).owner] += n
        # Counts only grow during a pass, so whoever is first and still has the key it came with is first of all.
        queue = [self._key(job_id) for job_id in self._ready | self._hungry]
        heapq.heapify(queue)
        while queue:
            key = heapq.heappop(queue)
            job_id = key[-1]
            if (now := self._key(job_id)) != key:
                heapq.heappush(queue, now)
            elif job_id in self._ready or (job_id in self._hungry and has_room(job_id)):
                self._ready.discard(job_id)
                self._hungry.discard(job_id)
                yield job_id

    def _key(self, job_id: str) -> tuple[int, int, int, int, int, str]:
        """The smallest comes first."""
        claim = self._claims.get(job_id, _NOBODYS)
        of_owner = (self._of_owner[claim.owner], self._owner_served.get(claim.owner, 0))
        return (*of_owner, -claim.priority, self._under_way[job_id], self._served.get(job_id, 0), job_id)
