"""Choosing on noisy labels: the score is the formula at its maximum, and repeating the noise does not raise it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2e.data.noise import corrupt
from s2e.data.transition import pair, symmetric
from s2e.labels.choice import noisy_score


def drawn(seed, n=60, n_classes=4):
    rng = np.random.default_rng(seed)
    p_VC = rng.dirichlet(np.full(n_classes, rng.uniform(0.1, 2)), n)
    T_CC = 0.5 * np.eye(n_classes) + 0.4 * rng.dirichlet(np.ones(n_classes), n_classes) + 0.1 / n_classes
    return p_VC, rng.integers(0, n_classes, n), T_CC


@given(seed=st.integers(0, 10_000))
def test_no_other_exponent_scores_higher(seed):
    p_VC, label_V, T_CC = drawn(seed)
    score = noisy_score(p_VC, label_V, T_CC)

    def plain(a):
        q_VC = p_VC.clip(1e-12) ** a
        q_VC /= q_VC.sum(1, keepdims=True)
        return np.mean([np.log(q_C @ T_CC[:, label]) for q_C, label in zip(q_VC, label_V, strict=True)])

    assert score.log_likelihood == pytest.approx(plain(score.exponent), abs=1e-9)
    assert max(plain(a) for a in np.geomspace(0.05, 20, 60)) <= score.log_likelihood + 1e-5


@given(seed=st.integers(0, 10_000), a=st.floats(0.5, 2))
def test_confidence_alone_changes_nothing(seed, a):
    """p and p^a rank the same where the exponents stay inside their range."""
    p_VC, label_V, T_CC = drawn(seed)
    distorted_VC = p_VC**a / (p_VC**a).sum(1, keepdims=True)
    one, other = noisy_score(p_VC, label_V, T_CC), noisy_score(distorted_VC, label_V, T_CC)
    if 0.15 < one.exponent < 8:
        assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-3)


@pytest.mark.parametrize("T_CC", [pair(5, 0.45), symmetric(5, 0.5)], ids=["pair", "symmetric"])
def test_the_better_predictions_win_also_where_agreement_prefers_the_others(T_CC):
    """Predictions that are right in 84 % of the rows, against ones that say the next class in 60 % of them."""
    rng = np.random.default_rng(0)
    class_V = rng.integers(0, 5, 2_000)
    label_V = corrupt(class_V, T_CC, 1)
    guess_V = np.where(rng.random(2_000) < 0.8, class_V, rng.integers(0, 5, 2_000))
    repeated_V = np.where(rng.random(2_000) < 0.6, (class_V + 1) % 5, guess_V)
    right_VC, repeating_VC = (0.8 * np.eye(5)[predicted_V] + 0.04 for predicted_V in (guess_V, repeated_V))
    right, repeating = (noisy_score(p_VC, label_V, T_CC).log_likelihood for p_VC in (right_VC, repeating_VC))
    assert right > repeating


def test_one_label_that_t_rules_out_does_not_decide():
    p_VC = np.array([[0.99, 0.01]] * 50 + [[0.01, 0.99]] * 50)
    label_V = np.repeat([0, 1], 50)
    label_V[0] = 1
    assert noisy_score(p_VC, label_V, np.eye(2)).log_likelihood > -0.5


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"predictions \(3, 2\), labels \(3,\), T \(3, 3\)"):
        noisy_score(np.full((3, 2), 0.5), np.zeros(3, dtype=np.int64), np.eye(3))
