"""The draw of noisy labels: frequencies, exact counts, seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2e.data.noise import corrupt, corrupt_exactly, draw, redraw
from s2e.data.transition import mapped, pair, symmetric, symmetric_inclusive
from s2e.words import DataSpec, NoiseSpec, SpecError


@pytest.mark.parametrize(("make", "noise_rate"), [(symmetric, 0.2), (symmetric, 0.5), (symmetric, 0.8), (pair, 0.45)])
def test_observed_transitions_follow_the_matrix(make, noise_rate):
    """100,000 labels, 10,000 of a class: a frequency's standard deviation is at most 0.005, 5 of them allowed."""
    label_S = np.repeat(np.arange(10), 10_000)
    T_CC = make(10, noise_rate)
    noisy_S = corrupt(label_S, T_CC, seed=3)
    observed_CC = np.bincount(label_S * 10 + noisy_S, minlength=100).reshape(10, 10) / 10_000
    np.testing.assert_allclose(observed_CC, T_CC, atol=0.025)
    assert (observed_CC[T_CC == 0] == 0).all()
    assert (noisy_S != label_S).mean() == pytest.approx(noise_rate, abs=0.008)


def test_the_draw_depends_on_its_seed_only():
    label_S, T_CC = np.arange(1000) % 10, symmetric(10, 0.5)
    first = corrupt(label_S, T_CC, seed=1)
    np.random.default_rng(0).random(17)
    np.testing.assert_array_equal(first, corrupt(label_S, T_CC, seed=1))
    assert (first != corrupt(label_S, T_CC, seed=2)).mean() > 0.3
    np.testing.assert_array_equal(label_S, np.arange(1000) % 10)


def test_no_noise_changes_nothing():
    label_S = np.arange(1000) % 10
    np.testing.assert_array_equal(corrupt(label_S, np.eye(10), seed=1), label_S)


def counts_of(clean_S, noisy_S, n_classes):
    return np.bincount(clean_S * n_classes + noisy_S, minlength=n_classes**2).reshape(n_classes, n_classes)


def test_inclusive_noise_redraws_exactly_its_share_over_all_classes():
    """Of 40,000 labels 50 % are re-drawn, a tenth of them to the old class: 18,000 wrong, standard deviation 42."""
    label_S = np.repeat(np.arange(10), 4_000)
    noisy_S = redraw(label_S, 10, 0.5, seed=3)
    assert abs(int((noisy_S != label_S).sum()) - 18_000) < 5 * 42
    observed_CC = counts_of(label_S, noisy_S, 10) / 4_000
    np.testing.assert_allclose(observed_CC, symmetric_inclusive(10, 0.5), atol=0.04)
    # with a class of its own to be drawn from, every re-drawn label shows: the number is exact
    assert int((redraw(np.full(1_000, 0), 10**9, 0.3, seed=1) != 0).sum()) == 300


@pytest.mark.parametrize("T_CC", [symmetric(10, 0.4), pair(10, 0.45), mapped(10, 0.4, {9: 1, 2: 0})])
def test_exact_counts_are_the_expected_ones(T_CC):
    label_S = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 900))
    noisy_S = corrupt_exactly(label_S, T_CC, seed=1)
    np.testing.assert_array_equal(counts_of(label_S, noisy_S, 10), np.rint(T_CC * 900))
    assert (noisy_S != corrupt_exactly(label_S, T_CC, seed=2)).any()


@given(st.integers(2, 6), st.integers(0, 40), st.integers(0, 2**40))
def test_exact_counts_differ_from_expectation_by_less_than_one(n_classes, n_samples, seed):
    rng = np.random.default_rng(seed)
    T_CC = rng.dirichlet(np.ones(n_classes), n_classes)
    label_S = rng.integers(n_classes, size=n_samples)
    counts_CC = counts_of(label_S, corrupt_exactly(label_S, T_CC, seed), n_classes)
    per_class_C = np.bincount(label_S, minlength=n_classes)
    np.testing.assert_array_equal(counts_CC.sum(axis=1), per_class_C)
    assert (abs(counts_CC - per_class_C[:, None] * T_CC) < 1).all()


def test_a_job_names_its_draw():
    label_S = np.arange(1_000) % 10
    cifar = DataSpec(name="cifar10", noise=NoiseSpec("asymmetric", 0.4))
    noisy_S = draw(cifar, label_S, 10, 5)
    moved = set(zip(label_S[noisy_S != label_S].tolist(), noisy_S[noisy_S != label_S].tolist(), strict=True))
    assert moved == {(9, 1), (2, 0), (3, 5), (5, 3), (4, 7)}
    exact = DataSpec(noise=NoiseSpec("pair", 0.4, exact_counts=True))
    assert int((draw(exact, label_S, 10, 5) != label_S).sum()) == 400
    swap = DataSpec(noise=NoiseSpec("matrix", matrix=((0.0, 1.0), (1.0, 0.0))))
    np.testing.assert_array_equal(draw(swap, label_S % 2, 2, 5), 1 - label_S % 2)
    with pytest.raises(SpecError, match="these have a T"):
        draw(DataSpec(name="cifar10", noise=NoiseSpec("human")), label_S, 10, 5)
