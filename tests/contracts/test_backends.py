"""What every place to run trials promises: one suite for the simulated, the inline and the Ray backend."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from s2e.words import DataSpec, Population, replace
from workers.backend import (
    EpochReported,
    Event,
    PopulationFinished,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
    TrialBackend,
)
from workers.simulated import SimulatedBackend, SimulatedTrial
from workers.wire import decode, encode

RAY = (pytest.mark.ray, pytest.mark.xdist_group("ray"))
REAL = ("inline", pytest.param("ray", marks=RAY))
MakePopulation = Callable[..., Population]
Collect = Callable[..., list[Event]]


def key(group: int = 0, attempt: int = 1) -> PopulationKey:
    return PopulationKey("job", 0, group, attempt)


def make_backend(name: str, root: Path, request: pytest.FixtureRequest) -> TrialBackend:
    if name == "simulated":
        return SimulatedBackend(lambda trial: SimulatedTrial.constant(0.5, len(trial.keep_rate)))
    if name == "inline":
        from workers.inline import InlineBackend

        return InlineBackend(root / "inline", root / "no-data")
    request.getfixturevalue("ray_cluster")
    from workers.ray_backend import RayBackend

    return RayBackend(root / "ray", root / "no-data")


@pytest.fixture
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrialBackend]:
    made = make_backend(request.param, tmp_path, request)
    yield made
    made.close()


every_backend = pytest.mark.parametrize("backend", ["simulated", *REAL], indirect=True)
training_backend = pytest.mark.parametrize("backend", REAL, indirect=True)


@every_backend
def test_a_population_starts_reports_each_epoch_in_order_and_finishes_once(
    backend: TrialBackend, make_population: MakePopulation, collect: Collect
) -> None:
    backend.start(key(), make_population(ks=(4, 2), n_epochs=3))
    assert backend.running() == {key()}
    first, *epochs, last = collect(backend)
    assert isinstance(first, PopulationStarted)
    assert first.worker
    assert isinstance(last, PopulationFinished)
    assert [result.k for result in last.results] == [4, 2]
    assert [[(row.k, row.epoch) for row in event.epochs] for event in epochs if isinstance(event, EpochReported)] == [
        [(4, epoch), (2, epoch)] for epoch in range(3)
    ]
    assert backend.running() == frozenset()
    assert backend.poll(0.2) == []


@every_backend
def test_starting_a_known_key_changes_nothing(
    backend: TrialBackend, make_population: MakePopulation, collect: Collect
) -> None:
    backend.start(key(), make_population(ks=(0,), n_epochs=2))
    backend.start(key(), make_population(ks=(0, 1), n_epochs=3))
    events = collect(backend)
    assert sum(isinstance(event, EpochReported) for event in events) == 2
    backend.start(key(), make_population(ks=(0,), n_epochs=2))
    assert backend.running() == frozenset()
    assert backend.poll(0.2) == []


@every_backend
def test_several_populations_all_finish_and_events_of_one_stay_in_order(
    backend: TrialBackend, make_population: MakePopulation, collect: Collect
) -> None:
    keys = [key(group) for group in range(3)]
    for group, this in enumerate(keys):
        backend.start(this, make_population(ks=(group,), n_epochs=2))
    assert backend.running() == set(keys)
    events = collect(backend, len(keys))
    for this in keys:
        kinds = [type(event) for event in events if event.key == this]
        assert kinds == [PopulationStarted, EpochReported, EpochReported, PopulationFinished]


@every_backend
def test_a_cancelled_population_is_silent_and_the_others_go_on(
    backend: TrialBackend, make_population: MakePopulation, collect: Collect
) -> None:
    backend.start(key(0), make_population(ks=(0,), n_epochs=2_000))
    backend.start(key(1), make_population(ks=(1,), n_epochs=2))
    while not any(isinstance(event, EpochReported) and event.key == key(0) for event in backend.poll(1.0)):
        assert key(0) in backend.running()
    backend.cancel(key(0))
    backend.cancel(key(0))
    assert key(0) not in backend.running()
    if key(1) in backend.running():
        assert {event.key for event in collect(backend)} == {key(1)}
    assert backend.poll(0.2) == []


@every_backend
def test_cancelling_an_unknown_key_changes_nothing(
    backend: TrialBackend, make_population: MakePopulation, collect: Collect
) -> None:
    backend.start(key(), make_population(ks=(0,), n_epochs=1))
    backend.cancel(key(attempt=2))
    assert backend.running() == {key()}
    assert isinstance(collect(backend)[-1], PopulationFinished)


@every_backend
def test_every_event_is_plain_json(backend: TrialBackend, make_population: MakePopulation, collect: Collect) -> None:
    backend.start(key(), make_population(ks=(0, 1), n_epochs=1))
    events = [*collect(backend), PopulationLost(key(), "the place vanished", retryable=True)]
    assert {type(event) for event in events} == {PopulationStarted, EpochReported, PopulationFinished, PopulationLost}
    for event in events:
        assert decode(json.loads(json.dumps(encode(event), allow_nan=False))) == event


@every_backend
def test_workers_say_what_they_have_and_how_busy_they_are(
    backend: TrialBackend, make_population: MakePopulation, collect: Collect
) -> None:
    assert sum(worker.busy for worker in backend.workers()) == 0
    backend.start(key(), make_population(ks=(0,), n_epochs=2_000))
    while not any(isinstance(event, EpochReported) for event in backend.poll(1.0)):
        assert backend.running() == {key()}
    busy = [worker for worker in backend.workers() if worker.busy]
    assert len(busy) == 1
    assert busy[0].busy == 1
    assert busy[0].name
    assert busy[0].cpus >= 1
    backend.cancel(key())
    assert sum(worker.busy for worker in backend.workers()) == 0


@training_backend
def test_a_training_that_cannot_be_done_is_an_event_with_its_reason(
    backend: TrialBackend, make_population: MakePopulation, collect: Collect
) -> None:
    population = make_population(data=replace(DataSpec(), name="cifar10"))
    backend.start(key(), population)
    lost = collect(backend)[-1]
    assert isinstance(lost, PopulationLost)
    assert not lost.retryable
    assert "no-data" in lost.reason
    assert backend.running() == frozenset()


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_inline_and_ray_measure_the_same_bit_for_bit(
    tmp_path: Path, request: pytest.FixtureRequest, make_population: MakePopulation, collect: Collect
) -> None:
    """Two populations at once on Ray, one after the other here: where a population trains changes no number."""
    seen: dict[str, dict[PopulationKey, list[Event]]] = {}
    for name in ("inline", "ray"):
        backend = make_backend(name, tmp_path, request)
        for group in range(2):
            backend.start(key(group), make_population(ks=(group, group + 2), n_epochs=4))
        events = [event for event in collect(backend, 2) if not isinstance(event, PopulationStarted)]
        seen[name] = {key(group): [event for event in events if event.key == key(group)] for group in range(2)}
        backend.close()
    assert seen["ray"] == seen["inline"]
    models = [path.relative_to(tmp_path / "inline") for path in (tmp_path / "inline").rglob("*.safetensors")]
    assert len(models) == 4
    for path in models:
        assert (tmp_path / "ray" / path).read_bytes() == (tmp_path / "inline" / path).read_bytes()
