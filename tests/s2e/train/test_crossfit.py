"""Held-out predictions: nobody trains on what it predicts, and the estimate finds the noise that was injected."""

from __future__ import annotations

import numpy as np
import pytest

from s2e.data.datasets import load_split, noisy_labels
from s2e.data.estimate import estimate_noise
from s2e.door import parse_job
from s2e.train import crossfit
from s2e.train.crossfit import held_out
from s2e.words import DataError, derive_seed


def job(**noise):
    return parse_job({"data": {"noise": noise}, "train": {"batch_size": 64}})


def test_folds_are_even_in_every_label():
    label_S = np.random.default_rng(0).integers(0, 3, 100)
    fold_S = crossfit._folds(label_S, 4, seed=1)
    assert np.bincount(fold_S).tolist() == [25, 25, 25, 25]
    for label in range(3):
        assert np.ptp(np.bincount(fold_S[label_S == label], minlength=4)) <= 1
    assert (fold_S != crossfit._folds(label_S, 4, seed=2)).any()


def test_no_network_trains_on_its_own_fold():
    fold_S = np.arange(103) % 3
    order_MKB = crossfit._order(fold_S, 8, 3, seed=1, t=0)
    assert order_MKB.shape == (8, 3, 8)  # 68 samples are outside the largest fold
    for k in range(3):
        walked = order_MKB[:, k].ravel()
        assert (fold_S[walked] != k).all()
        assert len(set(walked)) == len(walked)
    assert (order_MKB != crossfit._order(fold_S, 8, 3, seed=1, t=1)).any()


def test_held_out_predictions_reveal_the_noise_of_the_job():
    """997 digits, 40 % of the labels replaced: what a network without the sample predicts is mostly the truth."""
    spec = job(kind="symmetric", noise_rate=0.4)
    found = held_out(spec, n_folds=3, n_epochs=15)
    assert found.p_SC.shape == (997, 10)
    np.testing.assert_allclose(found.p_SC.sum(axis=1), 1, atol=1e-6)
    labels = noisy_labels(spec.data, derive_seed(spec.seed, "noise"))
    np.testing.assert_array_equal(found.label_S, labels.numpy())
    np.testing.assert_array_equal(found.true_label_S, load_split(spec.data).train.labels.numpy())
    right_S = found.p_SC.argmax(axis=1) == found.true_label_S
    assert right_S.mean() > 0.8
    assert right_S[found.label_S != found.true_label_S].mean() > 0.75  # a network that saw them would repeat them
    realised = (found.label_S != found.true_label_S).mean()
    assert estimate_noise(found.p_SC, found.label_S).noise_rate == pytest.approx(realised, abs=0.06)


def test_too_few_samples_are_named():
    with pytest.raises(DataError, match="498 samples outside the largest fold are fewer than one batch of 600"):
        held_out(parse_job({"train": {"batch_size": 600}}), n_folds=2, n_epochs=1)
