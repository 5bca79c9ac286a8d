"""Transition matrices and the draw of noisy labels."""

from __future__ import annotations

import numpy as np
import pytest

from s2e.data.noise import corrupt, matrix, pair, symmetric
from s2e.spec import NoiseSpec


@pytest.mark.parametrize("make", [symmetric, pair])
@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("noise_rate", [0.0, 0.2, 0.45])
def test_rows_sum_to_one_and_the_diagonal_keeps_the_rest(make, n_classes, noise_rate):
    T_CC = make(n_classes, noise_rate)
    np.testing.assert_allclose(T_CC.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(np.diag(T_CC), 1 - noise_rate, atol=1e-12)


def test_matrices_by_hand():
    np.testing.assert_allclose(symmetric(3, 0.5), [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]])
    np.testing.assert_allclose(pair(3, 0.4), [[0.6, 0.4, 0], [0, 0.6, 0.4], [0.4, 0, 0.6]])
    np.testing.assert_array_equal(matrix(NoiseSpec("none", 0.5), 3), np.eye(3))
    np.testing.assert_array_equal(matrix(NoiseSpec("pair", 0.4), 3), pair(3, 0.4))


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
