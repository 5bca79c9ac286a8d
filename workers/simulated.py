"""Trials whose numbers come from a function, in virtual time: a whole search in milliseconds."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from s2e.outcome import result_of
from s2e.words import EpochMetrics, Estimate, PlanSpec, Population, TrialResult, TrialSpec
from workers.backend import (
    PAUSED,
    EpochReported,
    Event,
    PopulationChecked,
    PopulationFinished,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
    WorkerInfo,
)

_FIRST = 1 << 60
"""Events that are told again come before all new ones."""
_Waiting = tuple[PopulationKey, Population, frozenset[str], bool]


@dataclass(frozen=True)
class SimulatedTrial:
    """The measurements of one trial, one value for each epoch. With a ``reason`` it fails after these epochs."""

    validation_accuracy: tuple[float, ...]
    test_accuracy: tuple[float, ...]
    label_precision: tuple[float, ...]
    reason: str = ""

    @classmethod
    def constant(cls, accuracy: float, n_epochs: int, reason: str = "") -> SimulatedTrial:
        """A trial with the same accuracy and label precision at each epoch."""
        values = (accuracy,) * n_epochs
        return cls(values, values, values, reason)


@dataclass(frozen=True)
class Loss:
    """A population that ends without results after ``after_epochs`` epochs."""

    after_epochs: int
    reason: str = "simulated loss"
    retryable: bool = True
    cause: str = "simulated"


def never_lost(key: PopulationKey) -> Loss | None:  # noqa: ARG001  the signature of the ``lost`` argument
    """No population is lost."""
    return None


class SimulatedBackend:
    """``n_workers`` places that take ``epoch_s`` virtual seconds for an epoch of a population.

    ``evaluate`` is the training; ``lost`` says which tries are lost. ``poll`` never sleeps: it moves the clock to the
    next event and returns all events of that instant. What trains goes on when its driver leaves it, as on Ray.
    """

    def __init__(
        self,
        evaluate: Callable[[TrialSpec], SimulatedTrial],
        *,
        n_workers: int = 1,
        epoch_s: float = 1.0,
        lost: Callable[[PopulationKey], Loss | None] = never_lost,
    ) -> None:
        self._evaluate = evaluate
        self._lost = lost
        self._epoch_s = epoch_s
        self._known: set[PopulationKey] = set()
        self._queue: deque[_Waiting] = deque()
        self._free = list(range(n_workers))
        self._busy: dict[PopulationKey, int] = {}
        self._events: list[tuple[float, int, Event]] = []
        self._order = count()
        self._n_workers = n_workers
        self._told: dict[PopulationKey, list[Event]] = {}
        """The events of the last poll; for a population that was left, those to tell whoever attaches to it."""
        self._left: dict[PopulationKey, str] = {}
        """Populations that nobody drives, and their places."""
        self.now_s = 0.0
        """The virtual clock."""

    def start(
        self, key: PopulationKey, population: Population, *, avoid: frozenset[str] = frozenset(), check: bool = False
    ) -> None:
        if key in self._known:
            return
        self._known.add(key)
        self._queue.append((key, population, avoid, check))
        self._place()

    def lacks(self, plan: PlanSpec, avoid: frozenset[str] = frozenset()) -> str:  # noqa: ARG002  it holds any plan
        return "" if any(_name(worker) not in avoid for worker in range(self._n_workers)) else "every worker is avoided"

    def attach(self, job_id: str) -> dict[PopulationKey, str]:
        taken = {key: place for key, place in self._left.items() if key.job_id == job_id}
        for key in taken:
            del self._left[key]
            for event in self._told.pop(key, []):
                heapq.heappush(self._events, (self.now_s, next(self._order) - _FIRST, event))
        return taken

    def leave(self, job_id: str) -> None:
        self._queue = deque(waiting for waiting in self._queue if waiting[0].job_id != job_id)
        under_way = {key: _name(worker) for key, worker in self._busy.items()}
        for key in {**under_way, **self._told}:
            if key.job_id == job_id:
                self._left.setdefault(key, under_way.get(key, ""))

    def poll(self, timeout_s: float = 0.0) -> list[Event]:  # noqa: ARG002  virtual time costs no waiting
        self._told = {key: events for key, events in self._told.items() if key in self._left}
        if not self._events:
            return []
        self.now_s = max(self.now_s, self._events[0][0])
        events: list[Event] = []
        while self._events and self._events[0][0] <= self.now_s:
            event = heapq.heappop(self._events)[2]
            if isinstance(event, PopulationFinished | PopulationLost | PopulationChecked) and event.key in self._busy:
                self._release(event.key)
            self._told.setdefault(event.key, []).append(event)
            if event.key not in self._left:
                events.append(event)
        self._place()
        return events

    def cancel(self, key: PopulationKey) -> None:
        self._queue = deque(waiting for waiting in self._queue if waiting[0] != key)
        self._events = [entry for entry in self._events if entry[2].key != key]
        heapq.heapify(self._events)
        self._told.pop(key, None)
        self._left.pop(key, None)
        if key in self._busy:
            self._release(key)
            self._place()

    def pause(self, key: PopulationKey) -> None:
        worker = self._busy.get(key)
        mine = sorted(entry for entry in self._events if entry[2].key == key)
        following = next((at_s for at_s, _, event in mine if isinstance(event, EpochReported)), None)
        if worker is None or following is None or following == mine[-1][0]:  # at its end, or waiting for a place
            return
        self._events = [entry for entry in self._events if entry[2].key != key or entry[0] <= following]
        paused = PopulationLost(key, PAUSED, True, PAUSED, _name(worker))
        self._events.append((following, next(self._order), paused))
        heapq.heapify(self._events)

    def running(self) -> frozenset[PopulationKey]:
        driven = {*self._busy, *(entry[2].key for entry in self._events)} - self._left.keys()
        return frozenset(driven | {waiting[0] for waiting in self._queue})

    def riders(self) -> frozenset[PopulationKey]:
        return frozenset()

    def open_programs(self) -> dict[str, int]:
        return {}

    def workers(self) -> list[WorkerInfo]:
        busy = set(self._busy.values())
        return [WorkerInfo(_name(worker), 1.0, 0.0, int(worker in busy)) for worker in range(self._n_workers)]

    def close(self) -> None:
        for key in self.running():
            self.cancel(key)

    def _place(self) -> None:
        for waiting in list(self._queue):
            key, population, avoid, check = waiting
            worker = next((free for free in sorted(self._free) if _name(free) not in avoid), None)
            if worker is None:
                continue
            self._queue.remove(waiting)
            self._free.remove(worker)
            heapq.heapify(self._free)
            self._busy[key] = worker
            for after_s, event in self._plan_check(key) if check else self._plan(key, population):
                heapq.heappush(self._events, (self.now_s + after_s, next(self._order), event))

    def _release(self, key: PopulationKey) -> None:
        heapq.heappush(self._free, self._busy.pop(key))

    def _plan(self, key: PopulationKey, population: Population) -> list[tuple[float, Event]]:
        """Everything that is going to happen to a population, with its time after the start."""
        n_epochs, loss = population.n_epochs_run, self._lost(key)
        trials = [(trial, self._evaluate(trial)) for trial in population.trials]
        events: list[tuple[float, Event]] = [
            (0.0, PopulationStarted(key, _name(self._busy[key]), _name(self._busy[key])))
        ]
        for epoch in range(n_epochs if loss is None else min(loss.after_epochs, n_epochs)):
            rows = tuple(_metrics(t, s, epoch) for t, s in trials if not s.reason or epoch < len(s.validation_accuracy))
            events.append((self._epoch_s * (epoch + 1), EpochReported(key, rows)))
        end_s = events[-1][0]
        if loss is None:
            results = tuple(_result(trial, simulated, population) for trial, simulated in trials)
            return [*events, (end_s, PopulationFinished(key, results))]
        return [*events, (end_s, self._lost_event(key, loss))]

    def _plan_check(self, key: PopulationKey) -> list[tuple[float, Event]]:
        """A check takes no virtual time; it can be lost like a training."""
        started = (0.0, PopulationStarted(key, _name(self._busy[key]), _name(self._busy[key])))
        loss = self._lost(key)
        if loss is not None:
            return [started, (0.0, self._lost_event(key, loss))]
        estimate = Estimate(worker=_name(self._busy[key]), epoch_s=self._epoch_s, memory_bytes=0)
        return [started, (0.0, PopulationChecked(key, estimate))]

    def _lost_event(self, key: PopulationKey, loss: Loss) -> PopulationLost:
        cause = loss.cause if loss.retryable else ""
        return PopulationLost(key, loss.reason, loss.retryable, cause, _name(self._busy[key]))


def _name(worker: int) -> str:
    return f"simulated:{worker}"


def _metrics(trial: TrialSpec, simulated: SimulatedTrial, epoch: int) -> EpochMetrics:
    return EpochMetrics(
        k=trial.k,
        epoch=epoch,
        keep_rate=trial.keep_rate[epoch],
        kept=trial.keep_rate[epoch],
        label_precision=simulated.label_precision[epoch],
        validation_accuracy=simulated.validation_accuracy[epoch],
        test_accuracy=simulated.test_accuracy[epoch],
    )


def _result(trial: TrialSpec, simulated: SimulatedTrial, population: Population) -> TrialResult:
    n_epochs = min(population.n_epochs_run, len(simulated.validation_accuracy))
    epochs = [_metrics(trial, simulated, epoch) for epoch in range(n_epochs)]
    return result_of(trial, epochs, population.tail_epochs, simulated.reason)
