"""Budgets of time: the hours of training and of the clock that a job has used. They end it wherever it is, and the work
done by then stays; budgets of trials and epochs are the job's own (:mod:`s2e.door.budget`)."""

from __future__ import annotations

from collections.abc import Iterable

from s2e.door.budget import used_up as in_words
from service.dispatch.known import InFlight, KnownJob
from service.store.changes import utc_now
from service.store.rounds import JobStatus
from workers.backend import Event, PopulationFinished, PopulationLost

HOUR_S = 3600.0


def took_s(known: KnownJob, events: Iterable[Event], now_s: float) -> float:
    """Seconds of training of the populations that end with these events, summed."""
    ended = [event.key for event in events if isinstance(event, PopulationFinished | PopulationLost)]
    return _device_s((known.in_flight[key] for key in ended if key in known.in_flight), now_s)


def _device_s(flights: Iterable[InFlight], now_s: float) -> float:
    """Each counts its share of a place that trains several jobs together."""
    return sum(flight.share * (now_s - flight.began_s) for flight in flights if flight.began_s is not None)


def used_up(known: KnownJob, status: JobStatus, now_s: float) -> str:
    """The budget of time that a running job has used up, in words; empty: none."""
    budget = known.spec.budget
    if budget.device_hours is not None:
        under_way_s = _device_s(known.in_flight.values(), now_s)
        if status.device_s + under_way_s >= HOUR_S * budget.device_hours:
            return in_words("device_hours", budget.device_hours, "device hours")
    passed_s = (utc_now() - status.started_at).total_seconds() if status.started_at is not None else 0.0
    if budget.wall_clock is not None and passed_s >= HOUR_S * budget.wall_clock:
        return in_words("wall_clock", budget.wall_clock, "hours")
    return ""
