"""Stopped at any epoch and resumed, a trial ends as if it had never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from s2e.parts import METHODS
from s2e.train.checkpoint import Checkpoint
from s2e.train.keep import BelowRoot
from s2e.train.trial import PopulationEnd, PopulationEpoch, train_population
from s2e.words import DataError, Fidelity, Population, SpecError, replace

Tiny = Callable[..., Population]


def whole(population: Population, **more: object) -> tuple[list[PopulationEpoch], PopulationEnd]:
    *epochs, end = train_population(population, **more)  # type: ignore[arg-type]
    assert isinstance(end, PopulationEnd)
    return epochs, end  # type: ignore[return-value]


def stopped(population: Population, n_epochs: int) -> list[Checkpoint]:
    for step in train_population(population):
        assert isinstance(step, PopulationEpoch)
        if step.epochs[0].epoch + 1 == n_epochs:
            checkpoints = [c for c in step.checkpoints() if c is not None]
            assert len(checkpoints) == len(population.trials)
            return checkpoints
    raise AssertionError("the population ended before")


def assert_equal(resumed: PopulationEnd, undisturbed: PopulationEnd) -> None:
    assert resumed.results == undisturbed.results
    for mine, other in zip(resumed.models, undisturbed.models, strict=True):
        assert mine is not None
        assert other is not None
        assert all(torch.equal(mine[name], other[name]) for name in other)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_resumes_with_the_same_result(tiny: Tiny, method: str) -> None:
    population = tiny((0, 1), method=method, late_stage=True)
    if "clean" in METHODS[method].needs:
        population = replace(population, data=replace(population.data, n_clean=8))
    epochs, undisturbed = whole(population)
    for n_epochs in (1, 3):
        later, end = whole(population, start=stopped(population, n_epochs))
        assert [step.epochs for step in later] == [step.epochs for step in epochs[n_epochs:]]
        assert_equal(end, undisturbed)


@pytest.mark.parametrize(
    "train",
    [
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-3},
        {"optimizer": "sgd", "momentum": 0.0},
        {"network": "model1", "augment": "crop_flip"},
        {"network": "model2", "beta1_decay": 0.1, "n_epochs": 3},
    ],
    ids=str,
)
def test_every_optimiser_network_and_augmentation_too(tiny: Tiny, train: dict[str, object]) -> None:
    population = tiny((0,) if "n_epochs" in train else (0, 1), shared_order=False, **train)
    assert_equal(whole(population, start=stopped(population, 2))[1], whole(population)[1])


def test_trials_go_on_in_other_company(tiny: Tiny, tmp_path: Path) -> None:
    """One of three goes on alone, from a file."""
    population = tiny((0, 1, 2))
    checkpoint = stopped(population, 2)[1]
    keeper = BelowRoot(tmp_path, "job", 1, None)
    keeper.keep_checkpoint(replace(population.trials[1], round=0, k=1), checkpoint)
    loaded = keeper.checkpoint(0, 1)
    assert loaded is not None
    assert (loaded.n_epochs_done, loaded.history) == (2, checkpoint.history)
    alone = replace(population, trials=population.trials[1:2])
    resumed, undisturbed = whole(alone, start=[loaded])[1], whole(alone)[1]
    assert resumed.results == undisturbed.results
    assert resumed.models[0] is not None
    assert undisturbed.models[0] is not None
    for name, tensor in undisturbed.models[0].items():
        assert torch.allclose(resumed.models[0][name], tensor, rtol=1e-12, atol=1e-12)
    assert keeper.checkpoint(0, 2) is None


def test_a_checkpoint_of_another_training_is_refused(tiny: Tiny) -> None:
    population = tiny((0, 1))
    one, two = stopped(population, 1), stopped(population, 2)
    with pytest.raises(DataError, match="unequal length"):
        list(train_population(population, start=[one[0], two[1]]))
    with pytest.raises(DataError, match="does not fit"):
        list(train_population(tiny((0, 1), network="model1"), start=one))
    with pytest.raises(DataError, match="does not fit"):
        list(train_population(tiny((0,), method="standard"), start=one[:1]))


def test_a_share_of_the_data_trains_on_it_alone(tiny: Tiny) -> None:
    """Half of 80 samples are 2 batches of 16, with the labels the full training has."""
    population = tiny((0, 1))
    share = Fidelity(data_share=0.5)
    half = replace(population, trials=tuple(replace(trial, fidelity=share) for trial in population.trials))
    epochs, end = whole(half)
    assert len(epochs) == population.train.n_epochs
    assert not any(result.failed for result in end.results)
    first = epochs[0].epochs[0]
    assert first.kept == pytest.approx(1.0)
    # 40 samples of 80 with 40 % wrong labels, seen in 2 batches of 16
    assert first.label_precision == pytest.approx(0.6, abs=0.2)
    assert whole(population)[1].results != end.results


def test_a_population_has_one_share_and_enough_samples_for_a_batch(tiny: Tiny) -> None:
    population = tiny((0, 1))
    first, second = population.trials
    mixed = replace(population, trials=(first, replace(second, fidelity=Fidelity(data_share=0.5))))
    with pytest.raises(SpecError, match="data_share"):
        list(train_population(mixed))
    little = replace(population, trials=(replace(first, fidelity=Fidelity(data_share=0.1)),))
    with pytest.raises(DataError, match="fewer than one batch"):
        list(train_population(little))
