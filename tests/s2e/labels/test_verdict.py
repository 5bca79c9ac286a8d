"""Verdicts on an estimate: refusals, the kind of the matrix, intervals that cover, alarms that speak."""

from __future__ import annotations

import numpy as np
import pytest

from s2e.data.noise import corrupt
from s2e.data.transition import pair, symmetric
from s2e.labels.em import fit_transition
from s2e.labels.verdict import alarms, cross_halves, interval, jackknife, require_identified
from s2e.words import DataError


def calibrated(T_CC, n, seed):
    """Predictions that are the truth about classes, and labels drawn from T."""
    rng = np.random.default_rng(seed)
    p_SC = rng.dirichlet(np.full(len(T_CC), 0.2), n)
    class_S = (rng.random((n, 1)) > p_SC.cumsum(1)).sum(1).clip(max=len(T_CC) - 1)
    return p_SC, class_S, corrupt(class_S, T_CC, seed + 1)


def halves_of(T_CC, n=1_500, seed=0):
    p_SC, _, label_S = calibrated(T_CC, n, seed)
    fit = fit_transition(p_SC, label_S)
    return cross_halves(p_SC, label_S, fit, seed), fit, label_S


def test_a_matrix_is_told_from_one_rate():
    assert halves_of(pair(5, 0.3))[0].over_symmetric > 0
    assert halves_of(symmetric(5, 0.4))[0].over_symmetric <= 0


def test_labels_without_their_classes_are_refused():
    halves, _, label_S = halves_of(np.full((5, 5), 0.2))
    with pytest.raises(DataError, match=r"the noise of these 1500 labels cannot be estimated"):
        require_identified(halves, len(label_S))
    halves, _, label_S = halves_of(symmetric(5, 0.5))
    require_identified(halves, len(label_S))


def test_label_shares_of_one_half_are_no_yardstick():
    """Predictions that say nothing, even labels: what is nearer to even than the shares of a random half beats them, so
    shares are those of all rows. Twelve draws; the largest of twelve standard normals is below 3 in 98 %."""
    rng = np.random.default_rng(0)
    for seed in range(12):
        p_SC = rng.dirichlet(np.full(3, 5.0), 90)
        label_S = np.arange(90) % 3
        fit = fit_transition(p_SC, label_S)
        assert cross_halves(p_SC, label_S, fit, seed).standard_errors < 3
    constant_SC = np.full((90, 3), 1 / 3)
    fit = fit_transition(constant_SC, label_S)
    assert cross_halves(constant_SC, label_S, fit, 0).over_shares < 1e-9


@pytest.mark.parametrize("is_symmetric", [True, False])
def test_the_interval_covers_the_rate_as_often_as_it_says(is_symmetric):
    """40 draws with calibrated predictions; 38 are expected, fewer than 34 have a chance below .5 %."""
    T_CC = symmetric(4, 0.3) if is_symmetric else pair(4, 0.3)
    covered = 0
    for seed in range(40):
        p_SC, _, label_S = calibrated(T_CC, 300, 100 * seed)
        fit = fit_transition(p_SC, label_S, symmetric=is_symmetric, exponent=1.0)
        error = jackknife(p_SC, label_S, fit, seed, symmetric=is_symmetric)
        low, high = interval(fit.noise_rate, error)
        assert 0 <= low <= fit.noise_rate <= high <= 1
        covered += low <= 0.3 <= high
    assert covered >= 34


def test_alarms_in_words():
    T_CC = np.array([[0.4, 0.6, 0.0], [0.0, 0.9, 0.1], [0.0, 0.0, 1.0]])
    _, fit, label_S = halves_of(T_CC, n=120)
    raised = {alarm.code: alarm.text for alarm in alarms(fit, label_S, {"a": 0.2, "b": 0.3}, is_full=True)}
    assert set(raised) == {"asymmetric", "weak_diagonal", "starts_disagree", "few_rows"}
    assert "of class 0 are labelled 1" in raised["asymmetric"]
    assert "class 0 seem to carry its label" in raised["weak_diagonal"]
    assert raised["starts_disagree"].endswith("a 0.200, b 0.300")
    assert "fewer than 50 labels" in raised["few_rows"]


def test_two_classes_are_always_doubtful():
    _, fit, label_S = halves_of(symmetric(2, 0.2))
    (alarm,) = alarms(fit, label_S, {"a": 0.2}, is_full=False)
    assert alarm.code == "binary"


def test_no_alarm_without_a_reason():
    _, fit, label_S = halves_of(symmetric(5, 0.2))
    assert alarms(fit, label_S, {"a": 0.2, "b": 0.22}, is_full=False) == ()
