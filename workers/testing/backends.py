"""The contract suite of a place to run trials: what every backend promises (:mod:`workers.backend`).

from workers.testing import BackendContract

class TestMine(BackendContract):
    @pytest.fixture
    def backend(self, data_root):
        backend = MyBackend(data_root=data_root)
        yield backend
        backend.close()
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from s2e.words import (
    DataSpec,
    Estimate,
    PlanSpec,
    Population,
    Round,
    Sizes,
    TrainSpec,
    TrialResult,
    TrialSpec,
    replace,
)
from workers.backend import (
    PAUSED,
    EpochReported,
    Event,
    LoggedLine,
    PopulationChecked,
    PopulationFinished,
    PopulationHeld,
    PopulationKey,
    PopulationLogged,
    PopulationLost,
    PopulationStarted,
    TrialBackend,
)
from workers.wire import decode, encode


def key(group: int = 0, attempt: int = 1) -> PopulationKey:
    """The key of a population of round 0."""
    return PopulationKey("job", 0, group, attempt)


def run_to_end(backend: TrialBackend, round_: Round, populations: Sequence[Population]) -> list[TrialResult]:
    """The results of a round that ``backend`` trains, as :func:`s2e.jobs.loop.run_search` asks for them."""
    for group, population in enumerate(populations):
        backend.start(PopulationKey("job", round_.index, group, 1), population)
    results: list[TrialResult] = []
    while backend.running():
        for event in backend.poll(0.1):
            if isinstance(event, PopulationFinished):
                results += event.results
    return results


def population(
    ks: tuple[int, ...] = (0, 1),
    n_epochs: int = 3,
    data: DataSpec | None = None,
    plan: PlanSpec | None = None,
    **train: Any,
) -> Population:
    """The trials ``ks`` on the digits under falling schedules; ``train`` holds fields of TrainSpec."""
    trials = tuple(
        TrialSpec(
            round=0,
            k=k,
            label="search",
            repeat=0,
            keep_rate=tuple(1 - 0.5 * t / n_epochs for t in range(n_epochs)),
            init_seed=100 + k,
            order_seed=7,
            noise_seed=9,
        )
        for k in ks
    )
    settings = replace(TrainSpec(), n_epochs=n_epochs, **train)
    return Population(data or DataSpec(), settings, plan or PlanSpec(), min(2, n_epochs), trials)


def collect(backend: TrialBackend, n: int = 1, limit_s: float = 120.0) -> list[Event]:
    """Every event until ``n`` populations have ended."""
    events: list[Event] = []
    deadline_s = time.monotonic() + limit_s
    ends = PopulationFinished | PopulationLost | PopulationChecked
    while sum(isinstance(event, ends) for event in events) < n:
        assert time.monotonic() < deadline_s, f"no end within {limit_s} s; seen: {events}"
        events += backend.poll(0.5)
    return events


class BackendContract:
    """A subclass gives the fixture ``backend``, made with ``data_root`` and closed afterwards.

    ``trains`` is False for one that only pretends to; ``outlives`` is False for one whose trainings end with their
    driver.
    """

    trains: ClassVar[bool] = True
    outlives: ClassVar[bool] = True

    @pytest.fixture
    def data_root(self, tmp_path: Path) -> Path:
        """A data root that does not exist."""
        return tmp_path / "no-data"

    @pytest.fixture
    def backend(self, data_root: Path) -> Iterator[TrialBackend]:
        """The backend under test."""
        raise NotImplementedError(f"{type(self).__name__} gives no fixture 'backend' (data root {data_root})")

    def test_a_population_starts_reports_each_epoch_in_order_and_finishes_once(self, backend: TrialBackend) -> None:
        backend.start(key(), population(ks=(4, 2), n_epochs=3))
        assert backend.running() == {key()}
        first, *epochs, last = collect(backend)
        assert isinstance(first, PopulationStarted)
        assert first.worker
        assert isinstance(last, PopulationFinished)
        assert [result.k for result in last.results] == [4, 2]
        assert [
            [(row.k, row.epoch) for row in event.epochs] for event in epochs if isinstance(event, EpochReported)
        ] == [[(4, epoch), (2, epoch)] for epoch in range(3)]
        assert backend.running() == frozenset()
        assert backend.poll(0.2) == []

    def test_starting_a_known_key_changes_nothing(self, backend: TrialBackend) -> None:
        backend.start(key(), population(ks=(0,), n_epochs=2))
        backend.start(key(), population(ks=(0, 1), n_epochs=3))
        events = collect(backend)
        assert sum(isinstance(event, EpochReported) for event in events) == 2
        backend.start(key(), population(ks=(0,), n_epochs=2))
        assert backend.running() == frozenset()
        assert backend.poll(0.2) == []

    def test_several_populations_all_finish_and_events_of_one_stay_in_order(self, backend: TrialBackend) -> None:
        keys = [key(group) for group in range(3)]
        for group, this in enumerate(keys):
            backend.start(this, population(ks=(group,), n_epochs=2))
        assert backend.running() == set(keys)
        events = collect(backend, len(keys))
        for this in keys:
            kinds = [type(event) for event in events if event.key == this]
            assert kinds == [PopulationStarted, EpochReported, EpochReported, PopulationFinished]

    def test_a_paused_population_stops_between_two_epochs_and_goes_on_from_there(self, backend: TrialBackend) -> None:
        long = population(ks=(0, 1), n_epochs=1_000)
        backend.pause(key())  # nobody knows it
        backend.start(key(), long)
        events: list[Event] = []
        while not any(isinstance(event, EpochReported) for event in events):
            events += backend.poll(1.0)
        backend.pause(key())
        events += collect(backend, 1 - sum(isinstance(event, PopulationLost) for event in events))
        epochs = [event.epochs for event in events if isinstance(event, EpochReported)]
        assert isinstance(events[-1], PopulationLost)
        assert (events[-1].cause, events[-1].retryable) == (PAUSED, True)
        assert 0 < len(epochs) < 1_000
        assert backend.running() == frozenset()
        again, following = replace(key(), attempt=2), list[Event]()
        backend.start(again, long)
        while sum(isinstance(event, EpochReported) for event in following) <= len(epochs):
            following += backend.poll(1.0)
        backend.cancel(again)
        told = [event.epochs for event in following if isinstance(event, EpochReported)]
        assert told[: len(epochs)] == epochs
        assert [row.epoch for rows in told for row in rows[:1]] == list(range(len(told)))

    def test_a_cancelled_population_is_silent_and_the_others_go_on(self, backend: TrialBackend) -> None:
        backend.start(key(0), population(ks=(0,), n_epochs=2_000))
        backend.start(key(1), population(ks=(1,), n_epochs=2))
        while not any(isinstance(event, EpochReported) and event.key == key(0) for event in backend.poll(1.0)):
            assert key(0) in backend.running()
        backend.cancel(key(0))
        backend.cancel(key(0))
        assert key(0) not in backend.running()
        if key(1) in backend.running():
            assert {event.key for event in collect(backend)} == {key(1)}
        assert backend.poll(0.2) == []

    def test_cancelling_an_unknown_key_changes_nothing(self, backend: TrialBackend) -> None:
        backend.start(key(), population(ks=(0,), n_epochs=1))
        backend.cancel(key(attempt=2))
        assert backend.running() == {key()}
        assert isinstance(collect(backend)[-1], PopulationFinished)

    def test_every_event_is_plain_json(self, backend: TrialBackend) -> None:
        backend.start(key(), population(ks=(0, 1), n_epochs=1))
        backend.start(key(1), population(ks=(0, 1), n_epochs=1), check=True)
        events = [
            *collect(backend, 2),
            PopulationLost(key(), "the place vanished", retryable=True, cause="trainer lost", place="here"),
            PopulationHeld(key(), "artifact disk full: no space", "artifact disk full"),
            PopulationChecked(key(), Estimate(worker="here", epoch_s=0, memory_bytes=0), sizes=Sizes(2, 4, 9, 1, {})),
            PopulationLogged(key(), 3, (LoggedLine(1.7e9, "warning", "mine", "a loss of 0"),)),
        ]
        kinds = {
            PopulationStarted,
            EpochReported,
            PopulationFinished,
            PopulationLost,
            PopulationHeld,
            PopulationLogged,
            PopulationChecked,
        }
        assert {type(event) for event in events} == kinds
        for event in events:
            assert decode(json.loads(json.dumps(encode(event), allow_nan=False))) == event

    def test_workers_say_what_they_have_and_how_busy_they_are(self, backend: TrialBackend) -> None:
        assert sum(worker.busy for worker in backend.workers()) == 0
        backend.start(key(), population(ks=(0,), n_epochs=2_000))
        while not any(isinstance(event, EpochReported) for event in backend.poll(1.0)):
            assert backend.running() == {key()}
        busy = [worker for worker in backend.workers() if worker.busy]
        assert len(busy) == 1
        assert busy[0].busy == 1
        assert busy[0].name
        assert busy[0].cpus >= 1
        backend.cancel(key())
        assert sum(worker.busy for worker in backend.workers()) == 0

    def test_a_training_that_cannot_be_done_is_an_event_with_its_reason(
        self, backend: TrialBackend, data_root: Path
    ) -> None:
        if not self.trains:
            pytest.skip("nothing is trained, and no data are read")
        backend.start(key(), population(data=replace(DataSpec(), name="cifar10")))
        lost = collect(backend)[-1]
        assert isinstance(lost, PopulationLost)
        assert (lost.retryable, lost.cause) == (True, "data root missing")
        assert lost.place in {worker.name for worker in backend.workers()}
        assert str(data_root) in lost.reason
        assert backend.running() == frozenset()
        data_root.mkdir()
        backend.start(key(1), population(data=replace(DataSpec(), name="cifar10")))
        lost = collect(backend)[-1]
        assert isinstance(lost, PopulationLost)
        assert not lost.retryable
        assert str(data_root) in lost.reason

    def test_a_check_ends_with_an_estimate_and_trains_nothing(self, backend: TrialBackend) -> None:
        backend.start(key(), population(n_epochs=2_000), check=True)
        started, checked = collect(backend)
        assert isinstance(started, PopulationStarted)
        assert started.place in {worker.name for worker in backend.workers()}
        assert isinstance(checked, PopulationChecked)
        assert checked.estimate.epoch_s > 0
        assert backend.running() == frozenset()
        assert backend.poll(0.2) == []

    def test_a_plan_is_lacking_when_every_place_for_it_is_avoided(self, backend: TrialBackend) -> None:
        assert backend.lacks(PlanSpec()) == ""
        assert backend.lacks(PlanSpec(), frozenset({"another place"})) == ""
        assert backend.lacks(PlanSpec(), frozenset(worker.name for worker in backend.workers())) != ""

    def test_what_was_left_trains_on_and_tells_all_that_was_not_acknowledged(self, backend: TrialBackend) -> None:
        """Another job is not touched by it."""
        other = replace(key(), job_id="other")
        backend.start(key(), population(ks=(0, 1), n_epochs=40))
        backend.start(other, population(ks=(0,), n_epochs=1))
        kept, told = [], backend.poll(1.0)
        while not any(isinstance(event, EpochReported) and event.key == key() for event in told):
            kept += told
            told = backend.poll(1.0)
        kept += [event for event in told if event.key == other]  # of the others nobody knows whether they were kept
        backend.leave("job")
        assert key() not in backend.running()
        if other in backend.running():
            kept += collect(backend)
        assert backend.attach("nobody's") == {}
        places = backend.attach("job")
        assert list(places) == [key()] * self.outlives
        assert backend.running() == set(places)
        if not self.outlives:
            return
        kept += collect(backend)
        mine = [event for event in kept if event.key == key()]
        assert isinstance(mine[0], PopulationStarted)
        epochs = [row.epoch for event in mine if isinstance(event, EpochReported) for row in event.epochs]
        assert epochs == [epoch for epoch in range(40) for _ in range(2)]
        assert isinstance(mine[-1], PopulationFinished)
        backend.leave("job")
        assert list(backend.attach("job")) == [key()]
        assert collect(backend)[-1] == mine[-1]
        assert backend.poll() == []
        assert backend.attach("job") == {}
