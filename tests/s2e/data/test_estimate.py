"""Estimated transition matrices: by hand, by a plain loop, and recovered from a known one."""

from __future__ import annotations

import numpy as np
import pytest

from s2e.data.estimate import (
    confident_joint,
    confident_transition,
    noise_rate_of,
    patrini_transition,
)
from s2e.data.noise import corrupt
from s2e.data.transition import pair, symmetric


def test_patrini_reads_the_surest_sample_below_the_percentile():
    p_SC = np.array([[0.99, 0.01], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9]])
    np.testing.assert_allclose(patrini_transition(p_SC, 100), [[0.99, 0.01], [0.1, 0.9]])
    # four steps between five values: the 75th percentile is the second largest, and it is left out with the largest
    np.testing.assert_allclose(patrini_transition(p_SC, 75), [[0.6, 0.4], [0.6, 0.4]])


@pytest.mark.parametrize("make", [symmetric, pair])
def test_patrini_recovers_t_from_perfect_predictions(make):
    """A perfect network predicts row y of T for a pure sample of class y, and mixtures else."""
    T_CC = make(5, 0.3)
    rng = np.random.default_rng(0)
    posterior_SC = np.concatenate([np.eye(5).repeat(20, axis=0), rng.dirichlet(np.ones(5), 400)])
    np.testing.assert_allclose(patrini_transition(posterior_SC @ T_CC, 100), T_CC, atol=1e-12)


def plain_joint(p_SC, label_S):
    n_classes = p_SC.shape[1]
    joint = [[0] * n_classes for _ in range(n_classes)]
    thresholds = []
    for j in range(n_classes):
        own = [p[j] for p, label in zip(p_SC, label_S, strict=True) if label == j]
        thresholds.append(sum(own) / len(own))
    for p, label in zip(p_SC, label_S, strict=True):
        sure = [j for j in range(n_classes) if p[j] >= thresholds[j]]
        if sure:
            joint[label][max(sure, key=lambda j: p[j])] += 1
    return joint


def test_the_confident_joint_is_that_of_the_plain_loop():
    rng = np.random.default_rng(1)
    p_SC, label_S = rng.dirichlet(np.ones(4), 300), rng.integers(0, 4, 300)
    assert confident_joint(p_SC, label_S).tolist() == plain_joint(p_SC, label_S)


def test_confident_learning_recovers_t():
    T_CC = np.array([[0.7, 0.3, 0, 0], [0, 0.9, 0.1, 0], [0, 0, 1, 0], [0.2, 0, 0, 0.8]])
    class_S = np.repeat(np.arange(4), 3000)
    label_S = corrupt(class_S, T_CC, seed=3)
    p_SC = 0.9 * np.eye(4)[class_S] + 0.025
    np.testing.assert_allclose(confident_transition(p_SC, label_S), T_CC, atol=0.03)


def test_classes_without_evidence_keep_their_labels():
    """Nobody is labelled 2, and every sample is surely of class 0: rows 1 and 2 have nothing to count."""
    p_SC = np.tile([0.9, 0.05, 0.05], (6, 1))
    T_CC = confident_transition(p_SC, np.array([0, 0, 0, 0, 1, 1]))
    np.testing.assert_allclose(T_CC, [[4 / 6, 2 / 6, 0], [0, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize("seed", range(5))
def test_rows_sum_to_one(seed):
    rng = np.random.default_rng(seed)
    p_SC, label_S = rng.dirichlet(np.full(6, 0.3), 50), rng.integers(0, 5, 50)
    for T_CC in (patrini_transition(p_SC), confident_transition(p_SC, label_S)):
        np.testing.assert_allclose(T_CC.sum(axis=1), 1)
        assert (T_CC >= 0).all()


def test_the_noise_rate_of_a_matrix_weighs_classes_by_their_share():
    """90 samples of class 0, never wrong, and 10 of class 1, half of them labelled 0: 5 of 100 are wrong."""
    label_S = np.repeat([0, 1], [95, 5])
    assert noise_rate_of(np.array([[1.0, 0.0], [0.5, 0.5]]), label_S) == pytest.approx(0.05)
    assert noise_rate_of(np.eye(2), label_S) == pytest.approx(0)
    # singular: the labels say nothing about the classes, and half of them are wrong whatever the classes are
    assert noise_rate_of(np.full((2, 2), 0.5), np.repeat([0, 1], 50)) == pytest.approx(0.5)
