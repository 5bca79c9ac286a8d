"""Back-off and circuit breakers: a population that failed at one place is tried again, at another if there is one.

A job whose populations are lost one after the other waits longer and longer between two tries; a place that loses
three in a row gets none for a while. One population that ends well, or that gets further than where it was lost, closes
both circuits: losses between which work goes on, however many, are not in a row. None of this is in the database: a
restarted dispatcher tries at once, which costs a try and no result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.store.leases import Quarantine

BACK_OFF_S = (0.5, 1.0, 3.0, 10.0, 30.0, 60.0)
"""Between two tries of a job; the last one again and again."""
OPEN_AFTER = 3
"""Losses in a row after which a job is blocked, and a place quarantined."""
ECHO_S = 1.0
"""Losses this close together are one failure: a node takes all that it trained along."""
QUARANTINE_S = (30.0, 60.0, 120.0, 300.0, 600.0)
"""For how long; longer each time it fails again when it is over."""


@dataclass
class _Circuit:
    n_lost: int = 0
    last_s: float = -ECHO_S
    until_s: float = 0.0
    reason: str = ""


class Breaker:
    """The circuits of every job and every place that one dispatcher knows."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.now_s = now_s
        self._jobs: dict[str, _Circuit] = {}
        self._places: dict[str, _Circuit] = {}

    def lost(self, job_id: str, cause: str, reason: str, place: str) -> None:
        """A population of the job was lost at ``place`` (empty: nobody knows where), which is not its own fault."""
        words = reason if cause in reason else f"{cause}: {reason}"
        _count(self._jobs.setdefault(job_id, _Circuit()), words, self.now_s(), BACK_OFF_S, 1)
        if place:
            _count(self._places.setdefault(place, _Circuit()), words, self.now_s(), QUARANTINE_S, OPEN_AFTER)

    def went_well(self, job_id: str, place: str) -> None:
        """A population of the job ended at ``place``, well or with failures of its own; or a try after a loss got
        further there."""
        self._jobs.pop(job_id, None)
        self._places.pop(place, None)

    def forget(self, job_id: str) -> None:
        """The job is no longer led here."""
        self._jobs.pop(job_id, None)

    def waits(self, job_id: str) -> bool:
        """True while the job's next try has to wait."""
        circuit = self._jobs.get(job_id)
        return circuit is not None and self.now_s() < circuit.until_s

    def trouble(self, job_id: str) -> str:
        """Why the job does not get on; empty before it failed often enough to say so."""
        circuit = self._jobs.get(job_id)
        return circuit.reason if circuit is not None and circuit.n_lost >= OPEN_AFTER else ""

    def quarantined(self) -> dict[str, Quarantine]:
        """The places that get nothing now."""
        now_s, now = self.now_s(), datetime.now(UTC)
        return {
            place: Quarantine(circuit.reason, now + timedelta(seconds=circuit.until_s - now_s))
            for place, circuit in self._places.items()
            if now_s < circuit.until_s
        }


def _count(circuit: _Circuit, reason: str, now_s: float, waits_s: tuple[float, ...], after: int) -> None:
    """A loss opens the circuit from the ``after``-th in a row on; those that come while it is open are its echo."""
    circuit.reason = reason
    if now_s < max(circuit.until_s, circuit.last_s + ECHO_S):
        return
    circuit.last_s = now_s
    circuit.n_lost += 1
    if circuit.n_lost >= after:
        circuit.until_s = now_s + waits_s[min(circuit.n_lost - after, len(waits_s) - 1)]
