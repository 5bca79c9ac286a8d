"""Back-off and circuit breakers: a population that failed at one place is tried again, at another if there is one.

A job whose populations are lost one after the other waits longer and longer between two tries. A circuit is of a place,
a cause, and the need that it takes away (:mod:`service.dispatch.needs`): three losses in a row open it, and jobs of
that need get nothing there for a while; three different places in a row open the one of all places. When the time is
over, one population tries, and the next once that one has trained an epoch. A population that ends well closes the
circuits that concern it, and so does one that gets further than where it was lost: losses between which work goes on,
however many, are not in a row. None of this is in the database: a restarted dispatcher tries at once, which costs a try
and no result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from service.dispatch.needs import EVERYBODYS, Needs
from service.store.leases import Circuit, Quarantine
from workers.backend import LOST_TRAINER, PopulationKey

BACK_OFF_S = (0.5, 1.0, 3.0, 10.0, 30.0, 60.0)
"""Between two tries of a job, or of any job where all places failed alike; the last one again and again."""
OPEN_AFTER = 3
"""Losses in a row after which a job is blocked, and a circuit opens; places in a row, of the one of all places."""
ECHO_S = 1.0
"""Losses this close together are one failure: a node takes all that it trained along."""
QUARANTINE_S = (30.0, 60.0, 120.0, 300.0, 600.0)
"""For how long; longer each time it fails again when it is over."""
HELD_S = 10.0
"""A place where something waits for its disk gets nothing more; what waits says so again within this time."""
ALL_PLACES = ""


@dataclass
class _Row:
    """Losses in a row, and the time until which nothing is tried."""

    n_lost: int = 0
    last_s: float = -ECHO_S
    until_s: float = 0.0
    reason: str = ""

    def count(self, reason: str, now_s: float, waits_s: tuple[float, ...], after: int) -> bool:
        """A loss: from the ``after``-th in a row on it opens. Those that come while it is open are its echo: False."""
        self.reason = reason
        if now_s < max(self.until_s, self.last_s + ECHO_S):
            return False
        self.last_s = now_s
        self.n_lost += 1
        if self.n_lost >= after:
            self.until_s = now_s + waits_s[min(self.n_lost - after, len(waits_s) - 1)]
        return True


@dataclass
class _Circuit(_Row):
    place: str = ALL_PLACES
    cause: str = ""
    need: str = EVERYBODYS
    since_s: float = 0.0
    """Time at which it opened first."""
    jobs: set[str] = field(default_factory=set)
    """Those that the losses in a row are of."""
    places: set[str] = field(default_factory=set)
    """Where they were."""
    probe: PopulationKey | None = None
    """The one that tries whether it is over."""

    @property
    def is_tripped(self) -> bool:
        """True from its first opening until it closes."""
        return self.until_s > 0.0

    def concerns(self, job_id: str, needs: Needs) -> bool:
        """True if a job needs what fails. A process that is gone leaves no trace of why: where all that were lost are
        of one job, it may be the job's own doing, and the others are let in."""
        if needs(self.cause) != self.need:
            return False
        return self.cause != LOST_TRAINER or job_id in self.jobs or len(self.jobs) > 1

    def is_shut(self, now_s: float) -> bool:
        """True while nobody is let in: it is open, or somebody tries."""
        return self.is_tripped and (now_s < self.until_s or self.probe is not None)


class Breaker:
    """The circuits of every job and every place that one dispatcher knows."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.now_s = now_s
        self._jobs: dict[str, _Row] = {}
        self._circuits: dict[tuple[str, str, str], _Circuit] = {}

    def lost(self, job_id: str, cause: str, reason: str, place: str, need: str = EVERYBODYS) -> None:
        """A population of the job was lost at ``place`` (empty: nobody knows where), which is not its own fault;
        ``need``: that which ``cause`` takes away."""
        now_s, words = self.now_s(), reason if cause in reason else f"{cause}: {reason}"
        self._jobs.setdefault(job_id, _Row()).count(words, now_s, BACK_OFF_S, 1)
        if not place:
            return
        self._count(self._circuit(place, cause, need), job_id, place, words, QUARANTINE_S)
        everywhere = self._circuit(ALL_PLACES, cause, need)
        if everywhere.is_tripped or place not in everywhere.places:
            self._count(everywhere, job_id, place, words, BACK_OFF_S)

    def held(self, job_id: str, cause: str, reason: str, place: str) -> None:
        """A population waits at ``place`` with finished work for its disk: it is the one that tries."""
        if place:
            now_s, circuit = self.now_s(), self._circuit(place, cause, EVERYBODYS)
            circuit.since_s = circuit.since_s if circuit.is_tripped else now_s
            circuit.reason, circuit.until_s = reason, now_s + HELD_S
            circuit.jobs.add(job_id)

    def goes_on(self, place: str, cause: str) -> None:
        """Finished work that was held at a place for ``cause`` is written."""
        self._circuits.pop((place, cause, EVERYBODYS), None)

    def went_well(self, job_id: str, place: str, needs: Needs = lambda _: EVERYBODYS) -> None:
        """A population of the job ended at ``place``, well or with failures of its own; or a try after a loss got
        further there."""
        self._jobs.pop(job_id, None)
        for key, circuit in list(self._circuits.items()):
            if circuit.place in (place, ALL_PLACES) and circuit.concerns(job_id, needs):
                del self._circuits[key]

    def forget(self, job_id: str) -> None:
        """The job is no longer led here."""
        self._jobs.pop(job_id, None)
        for key, circuit in list(self._circuits.items()):
            if circuit.probe is not None and circuit.probe.job_id == job_id:
                circuit.probe = None
            if circuit.jobs == {job_id} and (circuit.cause == LOST_TRAINER or not circuit.is_tripped):
                del self._circuits[key]

    def waits(self, job_id: str) -> bool:
        """True while the job's next try has to wait."""
        row = self._jobs.get(job_id)
        return row is not None and self.now_s() < row.until_s

    def trouble(self, job_id: str) -> str:
        """Why the job does not get on; empty before it failed often enough to say so."""
        row = self._jobs.get(job_id)
        return row.reason if row is not None and row.n_lost >= OPEN_AFTER else ""

    def shut(self, job_id: str, needs: Needs) -> dict[str, str]:
        """The places that are shut for a job, each with the reason; ALL_PLACES: there is no need to try anywhere."""
        now_s = self.now_s()
        return {circuit.place: circuit.reason for circuit in self._of(job_id, needs) if circuit.is_shut(now_s)}

    def to_try(self, job_id: str, needs: Needs) -> frozenset[str]:
        """The places where a job may try with one population whether a circuit's cause is over."""
        tripped = {circuit.place for circuit in self._of(job_id, needs)} - {ALL_PLACES}
        return frozenset(tripped - self.shut(job_id, needs).keys())

    def tries(self, key: PopulationKey, needs: Needs) -> frozenset[str]:
        """A population is about to be given away: the places that it has to avoid. Where time is over, it tries."""
        shut = self.shut(key.job_id, needs)
        for circuit in self._of(key.job_id, needs):
            if circuit.place not in shut:
                circuit.probe = key
        return frozenset(shut.keys() - {ALL_PLACES})

    def began(self, key: PopulationKey, place: str) -> None:
        """A population is at ``place``, so it tries no other one."""
        self._release(key, {place, ALL_PLACES})

    def trained(self, key: PopulationKey) -> None:
        """A population has trained an epoch, or is no longer under way: the next one may try."""
        self._release(key, set())

    def quarantined(self) -> dict[str, Quarantine]:
        """The places that get nothing now, whatever the job needs."""
        now_s = self.now_s()
        return {
            circuit.place: Quarantine(circuit.reason, self._at(circuit.until_s))
            for circuit in self._circuits.values()
            if circuit.place and circuit.need == EVERYBODYS and now_s < circuit.until_s
        }

    def circuits(self) -> list[Circuit]:
        """All that have opened and not closed yet, those of all places among them, for people."""
        return [
            Circuit(
                place=circuit.place,
                cause=circuit.cause,
                reason=circuit.reason,
                need=circuit.need,
                since=self._at(circuit.since_s),
                next_try=None if circuit.probe is not None else self._at(circuit.until_s),
            )
            for circuit in self._circuits.values()
            if circuit.is_tripped
        ]

    def _circuit(self, place: str, cause: str, need: str) -> _Circuit:
        new = _Circuit(place=place, cause=cause, need=need)
        return self._circuits.setdefault((place, cause, need), new)

    def _count(self, circuit: _Circuit, job_id: str, place: str, words: str, waits_s: tuple[float, ...]) -> None:
        was_tripped = circuit.is_tripped
        circuit.jobs.add(job_id)
        if circuit.count(words, self.now_s(), waits_s, OPEN_AFTER):
            circuit.places.add(place)
        if circuit.is_tripped and not was_tripped:
            circuit.since_s = self.now_s()

    def _of(self, job_id: str, needs: Needs) -> Iterator[_Circuit]:
        """The circuits that have opened and concern a job."""
        return (one for one in list(self._circuits.values()) if one.is_tripped and one.concerns(job_id, needs))

    def _release(self, key: PopulationKey, but: set[str]) -> None:
        for circuit in self._circuits.values():
            if circuit.probe == key and circuit.place not in but:
                circuit.probe = None

    def _at(self, at_s: float) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=at_s - self.now_s())
