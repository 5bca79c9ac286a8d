"""First guesses of T: exact where predictions are, closed rules for names and dominance."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2e.data.noise import corrupt
from s2e.data.transition import pair, symmetric
from s2e.labels.starts import MARGIN, clusters, dominant, first_guesses, naming


def predictions_of_labels(T_CC, n=3_000, spread=200.0, seed=0):
    """Predictions of networks that trained on the labels: each row its class's row of T, and some scatter."""
    rng = np.random.default_rng(seed)
    class_S = rng.integers(0, len(T_CC), n)
    p_SC = np.stack([rng.dirichlet(spread * T_CC[i] + 0.05) for i in class_S])
    return p_SC, corrupt(class_S, T_CC, seed + 1)


@pytest.mark.parametrize("T_CC", [pair(6, 0.45), symmetric(6, 0.5), np.eye(6)], ids=["pair", "symmetric", "none"])
def test_clusters_read_t_off_what_networks_predict(T_CC):
    p_SC, label_S = predictions_of_labels(T_CC)
    found_CC, share_C = clusters(p_SC, label_S)
    np.testing.assert_allclose(found_CC, T_CC, atol=0.06)
    np.testing.assert_allclose(share_C, 1 / 6, atol=0.03)


def test_two_guesses_are_transition_matrices():
    guesses = first_guesses(*predictions_of_labels(pair(5, 0.4)))
    assert set(guesses) == {"confident", "clusters"}
    for T_CC in guesses.values():
        np.testing.assert_allclose(T_CC.sum(1), 1, atol=1e-12)
        assert (np.diag(T_CC) > 0).all()


@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 6))
def test_a_dominant_matrix_is_stochastic_and_right_more_often_than_wrong(seed, n_classes):
    T_CC = np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.4), n_classes)
    changed_CC = dominant(T_CC)
    np.testing.assert_allclose(changed_CC.sum(1), 1, atol=1e-12)
    assert (changed_CC >= 0).all()
    assert (np.diag(changed_CC) >= np.diag(T_CC) - 1e-12).all()
    off_CC = changed_CC * (1 - np.eye(n_classes))
    assert (np.diag(changed_CC) >= off_CC.max(1) - 1e-12).all()


def test_a_matrix_that_dominates_stays_as_it_is():
    T_CC = symmetric(4, 0.3)
    assert T_CC[0, 0] > MARGIN * T_CC[0, 1]
    np.testing.assert_array_equal(dominant(T_CC), T_CC)


@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 5))
def test_names_make_most_labels_right(seed, n_classes):
    """Against every other way of naming."""
    rng = np.random.default_rng(seed)
    T_CC, share_C = rng.dirichlet(np.ones(n_classes), n_classes), rng.dirichlet(np.ones(n_classes))
    order_C = naming(T_CC, share_C)
    assert sorted(order_C) == list(range(n_classes))

    def right(order):
        return sum(share_C[k] * T_CC[k, i] for i, k in enumerate(order))

    assert right(order_C) == pytest.approx(max(map(right, permutations(range(n_classes)))))


def test_two_classes_that_share_a_corner_are_told_apart():
    """Class 0 is labelled 1 more often than 0: begun at the corners alone, its rows and those of class 1 make one
    cluster, and the corner of 0 is left to half of another class."""
    T_CC = pair(6, 0.45)
    T_CC[0, :2] = 0.42, 0.58
    p_SC, label_S = predictions_of_labels(T_CC, spread=30.0)
    found_CC, share_C = clusters(p_SC, label_S)
    np.testing.assert_allclose(found_CC, T_CC, atol=0.08)
    np.testing.assert_allclose(share_C, 1 / 6, atol=0.04)


def test_constant_predictions_make_some_clusters():
    T_CC, share_C = clusters(np.full((30, 3), 1 / 3), np.arange(30) % 3)
    assert np.isfinite(T_CC).all()
    assert share_C.sum() == pytest.approx(1)
