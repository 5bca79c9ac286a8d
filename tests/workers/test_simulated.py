"""The simulated backend: virtual time, failures and losses on demand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s2e.words import Fidelity, Population, TrialSpec, replace
from workers.backend import EpochReported, Event, PopulationFinished, PopulationKey, PopulationLost, PopulationStarted
from workers.simulated import Loss, SimulatedBackend, SimulatedTrial

MakePopulation = Callable[..., Population]
Collect = Callable[..., list[Event]]


def constant(trial: TrialSpec) -> SimulatedTrial:
    return SimulatedTrial.constant(0.1 * trial.k, len(trial.keep_rate))


def key(group: int = 0, attempt: int = 1) -> PopulationKey:
    return PopulationKey("job", 0, group, attempt)


def test_sixty_trials_of_200_hours_take_virtual_time_only(make_population: MakePopulation, collect: Collect) -> None:
    """20 populations on 4 workers are 5 waves of 200 epochs, 3600 s each: 3,600,000 virtual seconds."""
    backend = SimulatedBackend(constant, n_workers=4, epoch_s=3600.0)
    for group in range(20):
        backend.start(key(group), make_population(ks=tuple(range(3 * group, 3 * group + 3)), n_epochs=200))
    events = collect(backend, 20)
    assert backend.now_s == 5 * 200 * 3600.0
    results = [result for event in events if isinstance(event, PopulationFinished) for result in event.results]
    assert sorted(result.k for result in results) == list(range(60))
    assert {event.worker for event in events if isinstance(event, PopulationStarted)} == {
        f"simulated:{worker}" for worker in range(4)
    }


def test_the_objective_is_the_mean_of_the_last_epochs_on_validation(
    make_population: MakePopulation, collect: Collect
) -> None:
    """tail_epochs = 2 of validation 0.1, 0.4, 0.8: objective 1 - (0.4 + 0.8) / 2 = 0.4, whatever the test set says."""
    trial = SimulatedTrial((0.1, 0.4, 0.8), (0.0, 0.2, 0.3), (0.5, 0.5, 0.7))
    backend = SimulatedBackend(lambda spec: trial)
    backend.start(key(), make_population(ks=(0,), n_epochs=3))
    (*_, finished) = collect(backend)
    assert isinstance(finished, PopulationFinished)
    result = finished.results[0]
    assert result.objective == pytest.approx(0.4)
    assert (result.validation_accuracy, result.test_accuracy, result.label_precision) == pytest.approx((0.6, 0.25, 0.6))


def test_a_prefix_ends_early_with_the_means_of_its_own_last_epochs(
    make_population: MakePopulation, collect: Collect
) -> None:
    backend = SimulatedBackend(lambda spec: SimulatedTrial((0.1, 0.4, 0.8), (0.0, 0.2, 0.3), (0.5, 0.5, 0.7)))
    population = make_population(ks=(0,), n_epochs=3)
    backend.start(key(), replace(population, trials=(replace(population.trials[0], fidelity=Fidelity(2)),)))
    events = collect(backend)
    finished = events[-1]
    assert isinstance(finished, PopulationFinished)
    assert sum(isinstance(event, EpochReported) for event in events) == 2
    assert finished.results[0].objective == pytest.approx(1 - (0.1 + 0.4) / 2)


def test_a_failing_trial_is_a_result_with_a_reason_beside_the_others(
    make_population: MakePopulation, collect: Collect
) -> None:
    def evaluate(trial: TrialSpec) -> SimulatedTrial:
        return SimulatedTrial.constant(0.5, 1, "the loss became NaN") if trial.k == 1 else constant(trial)

    backend = SimulatedBackend(evaluate)
    backend.start(key(), make_population(ks=(0, 1), n_epochs=3))
    events = collect(backend)
    assert [[row.k for row in event.epochs] for event in events if isinstance(event, EpochReported)] == [
        [0, 1],
        [0],
        [0],
    ]
    finished = events[-1]
    assert isinstance(finished, PopulationFinished)
    good, failed = finished.results
    assert not good.failed
    assert (failed.failed, failed.reason, failed.objective) == (True, "the loss became NaN", None)


def test_a_lost_attempt_ends_early_and_the_next_one_can_finish(
    make_population: MakePopulation, collect: Collect
) -> None:
    backend = SimulatedBackend(constant, lost=lambda k: Loss(2, "node gone") if k.attempt == 1 else None)
    backend.start(key(), make_population(n_epochs=5))
    events = collect(backend)
    assert [type(event) for event in events] == [PopulationStarted, EpochReported, EpochReported, PopulationLost]
    assert events[-1] == PopulationLost(key(), "node gone", True, "simulated", "simulated:0")
    backend.start(key(attempt=2), make_population(n_epochs=5))
    assert isinstance(collect(backend)[-1], PopulationFinished)


def test_cancelling_frees_the_worker_for_the_next_in_the_queue(
    make_population: MakePopulation, collect: Collect
) -> None:
    backend = SimulatedBackend(constant, n_workers=1)
    for group in range(3):
        backend.start(key(group), make_population(n_epochs=4))
    backend.poll()
    backend.cancel(key(0))
    backend.cancel(key(1))
    assert backend.running() == {key(2)}
    assert {event.key for event in collect(backend)} == {key(2)}
