"""Maximum likelihood of T: EM never goes down, ends at the one maximum, and finds the matrix that made the labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2e.data.noise import corrupt
from s2e.data.transition import pair, symmetric
from s2e.labels.em import (
    em_step,
    fit_transition,
    log_likelihood,
    responsibilities,
    slope,
    tempered,
)


def problem(seed: int, n: int = 60, n_classes: int = 4):
    """Any predictions and any labels: the likelihood need not fit them well."""
    rng = np.random.default_rng(seed)
    p_SC = rng.dirichlet(np.full(n_classes, rng.uniform(0.05, 2)), n)
    T_CC = rng.dirichlet(np.full(n_classes, rng.uniform(0.1, 2)), n_classes)
    return p_SC, rng.integers(0, n_classes, n), T_CC


def drawn(T_CC, n: int = 4_000, sharpness: float = 0.15, seed: int = 0):
    """Calibrated predictions: classes are drawn from p itself, labels from their rows of T."""
    rng = np.random.default_rng(seed)
    p_SC = rng.dirichlet(np.full(len(T_CC), sharpness), n)
    class_S = (rng.random((n, 1)) > p_SC.cumsum(1)).sum(1).clip(max=len(T_CC) - 1)
    return p_SC, class_S, corrupt(class_S, T_CC, seed=seed + 1)


@given(seed=st.integers(0, 10_000), symmetric_T=st.booleans())
def test_a_step_never_lowers_the_likelihood(seed, symmetric_T):
    p_SC, label_S, T_CC = problem(seed)
    if symmetric_T:
        T_CC = symmetric(4, np.random.default_rng(seed).uniform(0.05, 0.9))
    for _ in range(8):
        before = log_likelihood(p_SC, T_CC, label_S)
        T_CC = em_step(p_SC, T_CC, label_S, symmetric=symmetric_T)
        np.testing.assert_allclose(T_CC.sum(1), 1, atol=1e-12)
        assert log_likelihood(p_SC, T_CC, label_S) >= before - 1e-12


@given(seed=st.integers(0, 10_000))
def test_more_rounds_never_fit_worse(seed):
    """The moves of the temperature included."""
    p_SC, label_S, _ = problem(seed)
    values = [fit_transition(p_SC, label_S, max_rounds=n, tolerance=0).log_likelihood for n in (1, 2, 5, 10)]
    assert (np.diff(values) >= -1e-12).all()


@pytest.mark.parametrize("exponent", [0.3, 1.0, 2.7])
def test_the_slope_in_the_exponent_is_the_finite_difference(exponent):
    p_SC, label_S, T_CC = problem(3)
    log_p_SC = np.log(p_SC.clip(1e-12))

    def value(a):
        return log_likelihood(tempered(log_p_SC, a), T_CC, label_S)

    h = 1e-6
    numeric = (value(exponent + h) - value(exponent - h)) / (2 * h)
    assert slope(log_p_SC, tempered(log_p_SC, exponent), T_CC, label_S) == pytest.approx(numeric, abs=1e-8)


def test_an_em_step_moves_along_the_gradient_in_t():
    """dL/dT_ij = sum_{s: y = j} q_si / (q T)_sy; M-step: T_ij dL/dT_ij over its row sum."""
    p_SC, label_S, T_CC = problem(5)
    h = 1e-7
    gradient_CC = np.zeros_like(T_CC)
    for i in range(4):
        for j in range(4):
            up, down = T_CC.copy(), T_CC.copy()
            up[i, j] += h
            down[i, j] -= h
            difference = log_likelihood(p_SC, up, label_S) - log_likelihood(p_SC, down, label_S)
            gradient_CC[i, j] = difference / (2 * h)
    expected_CC = T_CC * gradient_CC
    expected_CC /= expected_CC.sum(1, keepdims=True)
    np.testing.assert_allclose(em_step(p_SC, T_CC, label_S), expected_CC, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_start_does_not_matter_at_given_predictions(seed):
    """At a fixed exponent the likelihood is concave in T."""
    p_SC, _, label_S = drawn(pair(4, 0.4), n=800, seed=seed)
    start_CC = np.random.default_rng(seed).dirichlet(np.ones(4), 4)
    settings = {"exponent": 1.0, "max_rounds": 4_000, "tolerance": 1e-13}
    one, other = fit_transition(p_SC, label_S, **settings), fit_transition(p_SC, label_S, start_CC, **settings)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-7)
    np.testing.assert_allclose(one.T_CC, other.T_CC, atol=2e-3)


@given(seed=st.integers(0, 10_000))
def test_the_noise_rate_is_the_mean_posterior_of_a_wrong_label(seed):
    p_SC, label_S, _ = problem(seed)
    fit = fit_transition(p_SC, label_S, exponent=1.0, max_rounds=3_000, tolerance=1e-14)
    r_SC = responsibilities(tempered(np.log(p_SC.clip(1e-12)), fit.exponent), fit.T_CC, label_S)
    assert fit.noise_rate == pytest.approx(1 - r_SC[np.arange(len(label_S)), label_S].mean(), abs=1e-4)
    label_share_C = np.bincount(label_S, minlength=4) / len(label_S)
    np.testing.assert_allclose(fit.class_share_C @ fit.T_CC, label_share_C, atol=1e-4)


@pytest.mark.parametrize("T_CC", [pair(5, 0.4), symmetric(5, 0.5), np.eye(5)], ids=["pair", "symmetric", "clean"])
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_matrix_behind_the_labels_comes_back(T_CC, exponent):
    """Also from predictions that are too sure (p^2) or not sure enough (p^.5): the exponent undoes it."""
    p_SC, class_S, label_S = drawn(T_CC, n=16_000)
    distorted_SC = tempered(np.log(p_SC.clip(1e-12)), exponent)
    fit = fit_transition(distorted_SC, label_S)
    assert fit.exponent == pytest.approx(1 / exponent, rel=0.2)
    assert 0.5 * np.abs(fit.T_CC - T_CC).sum(1).mean() < 0.03
    assert fit.noise_rate == pytest.approx((label_S != class_S).mean(), abs=0.02)


def test_a_symmetric_fit_has_one_number():
    p_SC, class_S, label_S = drawn(symmetric(5, 0.3))
    fit = fit_transition(p_SC, label_S, symmetric=True)
    off_diagonal = fit.T_CC[~np.eye(5, dtype=bool)]
    assert np.ptp(off_diagonal) < 1e-15
    assert fit.T_CC[0, 0] == pytest.approx(1 - (label_S != class_S).mean(), abs=0.02)


def test_a_class_that_no_sample_belongs_to_keeps_its_row():
    p_SC = np.tile([0.7, 0.3, 0.0], (50, 1))
    label_S = np.repeat([0, 1], 25)
    start_CC = np.array([[0.8, 0.2, 0.0], [0.2, 0.8, 0.0], [0.1, 0.2, 0.7]])
    T_CC = em_step(p_SC, start_CC, label_S)
    np.testing.assert_array_equal(T_CC[2], start_CC[2])
