"""Stand-ins for the truth: replaced images, noisy validation labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s2e.data.datasets import load_split, noisy_validation_labels
from s2e.data.open_set import OWN, foreign_rows
from s2e.data.record import noise_record
from s2e.train.population import StackedTrials
from s2e.train.trial import PopulationEnd, train_population
from s2e.words import NoiseSpec, replace

SOURCE = "others.npz"


@pytest.fixture
def tiny_population(tiny, tmp_path):
    """Two trials with noise draws of their own on 80 images of 16x16, 40 % replaced by white ones."""
    np.savez(tmp_path / SOURCE, images=np.full((10, 8, 8, 3), 255, dtype=np.uint8))
    population = tiny((0, 1), method="coteaching", network="mlp")
    noise = NoiseSpec("open_set", 0.4, open_set=SOURCE)
    return replace(population, data=replace(population.data, noise=noise)), str(tmp_path)


def test_the_engine_shows_replaced_images_under_their_old_labels(tiny_population):
    population, root = tiny_population
    trials = StackedTrials(population, torch.device("cpu"), torch.float64, root)
    data = load_split(population.data, root)
    index = torch.tensor([5, 0, 79, 33, 7, 8])
    for shown in (trials.images(index), trials.images(torch.stack([index, index]))):
        for k, trial in enumerate(population.trials):
            foreign_B = foreign_rows(population.data, 80, trial.noise_seed, root)[index] != OWN
            expected = torch.where(foreign_B[:, None], 1.0, data.train.images[index].flatten(1).double() / 255)
            torch.testing.assert_close(shown[k], expected)
            assert torch.equal(trials.label_KS[k], data.train.labels)
            assert ((trials.seen.true_label_KS[k][index] == data.train.labels[index]) == ~foreign_B).all()
    assert not torch.equal(*trials.images(torch.arange(80)).unbind(0))
    trials.keep([1])
    assert trials.images(index).shape[0] == 1


def test_replaced_samples_count_as_wrong(tiny_population):
    population, root = tiny_population
    *epochs, end = train_population(population, data_root=root)
    assert isinstance(end, PopulationEnd)
    first = epochs[0].epochs[0]
    assert first.label_precision == pytest.approx(0.6)  # R(0) = 1 keeps all, and 32 of 80 are replaced
    assert first.wrong_correct == 0


def test_the_record_names_the_replaced_samples(tiny_population):
    population, root = tiny_population
    seed = population.trials[0].noise_seed
    record = noise_record(population.data, seed, root)
    data = load_split(population.data, root)
    expected = data.train_rows[foreign_rows(population.data, 80, seed, root) != OWN].tolist()
    assert list(record.replaced) == expected
    assert (record.n_flipped, record.realised_noise_rate, record.transition) == (0, 0.4, None)


def test_noisy_validation_labels_change_the_objective_and_not_the_training(tiny):
    """Under symmetric noise the correction is affine: (a - b) / (d - b) of the accuracy a on noisy labels, with T's
    diagonal d and b beside it."""
    population = tiny((0, 1))
    runs = {}
    for labels in ("clean", "noisy", "noisy_corrected"):
        data = replace(population.data, validation_labels=labels)
        *epochs, _ = train_population(replace(population, data=data))
        runs[labels] = [row for step in epochs for row in step.epochs]
    diagonal, beside = 0.6, 0.4 / 3
    n_compared = 0
    for clean, noisy, corrected in zip(*runs.values(), strict=True):
        assert clean.test_accuracy == noisy.test_accuracy == corrected.test_accuracy
        for (_, raw, _), (_, carried_back, _) in zip(noisy.networks, corrected.networks, strict=True):
            expected = min(1, max(0, (raw - beside) / (diagonal - beside)))
            assert carried_back == pytest.approx(expected, abs=1e-12)
            n_compared += 0 < expected < 1
    assert n_compared > 4
    assert [row.validation_accuracy for row in runs["clean"]] != [row.validation_accuracy for row in runs["noisy"]]


def test_each_trial_validates_on_the_labels_of_its_own_noise_draw(tiny):
    population = tiny((0, 1))
    population = replace(population, data=replace(population.data, validation_labels="noisy"))
    trials = StackedTrials(population, torch.device("cpu"), torch.float64)
    drawn = [noisy_validation_labels(population.data, trial.noise_seed) for trial in population.trials]
    assert torch.equal(trials.seen.validation_label_KV, torch.stack(drawn))
    assert not torch.equal(*drawn)
    trials.keep([1])
    assert torch.equal(trials.seen.validation_label_KV, drawn[1][None])
