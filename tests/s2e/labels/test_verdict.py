"""Verdicts on an estimate: refusals, the kind of the matrix, intervals that cover, alarms that speak."""

from __future__ import annotations

import numpy as np
import pytest

from s2e.data.noise import corrupt
from s2e.data.transition import pair, symmetric
from s2e.labels.alarms import Findings, alarms
from s2e.labels.em import fit_transition
from s2e.labels.settled import settled
from s2e.labels.verdict import cross_halves, interval, jackknife, require_identified
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
    return cross_halves(p_SC, label_S, *both(p_SC, label_S), seed), fit, label_S


def both(p_SC, label_S):
    return fit_transition(p_SC, label_S), fit_transition(p_SC, label_S, symmetric=True)


def raised(fit, label_S, starts, kind="full", agreement=1.0, class_names=()):
    of = Findings(fit, label_S, starts, kind, (0.1, 0.3), agreement, class_names=class_names)
    return {alarm.code: alarm.text for alarm in alarms(of)}


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
        assert cross_halves(p_SC, label_S, *both(p_SC, label_S), seed).standard_errors < 3
    constant_SC = np.full((90, 3), 1 / 3)
    assert cross_halves(constant_SC, label_S, *both(constant_SC, label_S), 0).over_shares < 1e-9


@pytest.mark.parametrize("is_symmetric", [True, False])
def test_the_interval_covers_the_rate_as_often_as_it_says(is_symmetric):
    """40 draws with calibrated predictions; 38 are expected, fewer than 34 have a chance below .5 %."""
    T_CC = symmetric(4, 0.3) if is_symmetric else pair(4, 0.3)
    covered = 0
    for seed in range(40):
        p_SC, _, label_S = calibrated(T_CC, 300, 100 * seed)
        fit = fit_transition(p_SC, label_S, symmetric=is_symmetric, exponent=1.0)
        error = jackknife(p_SC, label_S, fit, seed)
        low, high = interval(fit.noise_rate, error)
        assert 0 <= low <= fit.noise_rate <= high <= 1
        covered += low <= 0.3 <= high
    assert covered >= 34


def test_alarms_in_words():
    T_CC = np.array([[0.4, 0.6, 0.0], [0.0, 0.9, 0.1], [0.0, 0.0, 1.0]])
    _, fit, label_S = halves_of(T_CC, n=120)
    said = raised(fit, label_S, {"a": 0.2, "b": 0.3})
    assert set(said) == {"asymmetric", "weak_diagonal", "starts_disagree", "few_rows"}
    assert "of class 0 are labelled 1" in said["asymmetric"]
    assert "class 0 seem to carry its label" in said["weak_diagonal"]
    assert said["starts_disagree"].endswith("a 0.200, b 0.300")
    assert "fewer than 50 labels" in said["few_rows"]
    named = raised(fit, label_S, {"a": 0.2, "b": 0.3}, class_names=("cat", "dog", "emu"))
    assert "of class cat are labelled dog" in named["asymmetric"]


def test_two_classes_are_always_doubtful():
    _, fit, label_S = halves_of(symmetric(2, 0.2))
    assert set(raised(fit, label_S, {"a": 0.2})) == {"binary"}


def test_no_alarm_without_a_reason():
    _, fit, label_S = halves_of(symmetric(5, 0.2))
    assert raised(fit, label_S, {"a": 0.2, "b": 0.22}, "symmetric", agreement=0.7) == {}


def test_labels_that_nearly_half_of_two_classes_exchange_are_named():
    T_CC = np.eye(4)
    T_CC[1:3, 1:3] = [[0.55, 0.45], [0.45, 0.55]]
    _, fit, label_S = halves_of(T_CC, n=600)
    assert "class 1 are labelled 2" in raised(fit, label_S, {"a": 0.2})["exchanged"]
    T_CC[1:3, 1:3] = [[0.7, 0.3], [0.3, 0.7]]
    _, fit, label_S = halves_of(T_CC, n=600)
    assert "exchanged" not in raised(fit, label_S, {"a": 0.2})


def overlapping(T_CC, n, seed, sharpness):
    """Four classes in two pairs that are hard to tell apart, and predictions that know how hard."""
    rng = np.random.default_rng(seed)
    first = rng.beta(sharpness, sharpness, n)
    p_SC = np.zeros((n, 4))
    group = 2 * rng.integers(0, 2, n)
    p_SC[np.arange(n), group], p_SC[np.arange(n), group + 1] = first, 1 - first
    p_SC = 0.92 * p_SC + 0.02
    class_S = (rng.random((n, 1)) > p_SC.cumsum(1)).sum(1).clip(max=3)
    return p_SC, class_S, corrupt(class_S, T_CC, seed + 1)


def verdict_on(p_SC, label_S, seed=0):
    return settled(p_SC, label_S, fit_transition(p_SC, label_S), {"a": 0.2}, seed)


def test_right_labels_of_classes_that_overlap_are_no_confident_noise():
    """Predictions lean to one class of each pair: a full matrix blames labels, one rate does not, and labels of other
    rows do not decide. All labels are right, and the interval has to say that they may be."""
    p_SC, class_S, label_S = overlapping(np.eye(4), 400, 3, 2.0)
    p_SC[:, ::2] *= 1.4
    p_SC /= p_SC.sum(1, keepdims=True)
    verdict = verdict_on(p_SC, label_S)
    alone = fit_transition(p_SC, label_S).noise_rate
    assert (class_S == label_S).all()
    assert alone > 0.1
    assert verdict.kind == "between"
    assert verdict.fit.noise_rate == pytest.approx(alone / 2, abs=0.02)
    assert verdict.interval[0] < 0.01
    (said,) = (alarm.text for alarm in verdict.alarms if alarm.code == "undecided")
    assert f"{alone:.0%} if it is their labels" in said


def leaning_to_a_small_class(n=1_500, share=0.15, shape=(2, 6), factor=4):
    """Right labels: class 3 overlaps with class 2 and is a quarter of the two; predictions take it for four times as
    likely, as networks under a matrix that blames its labels come to. The second ones know how likely it is."""
    rng = np.random.default_rng(3)
    second, group = rng.beta(*shape, n), 2 * (rng.random(n) < share)
    plain_SC = np.full((n, 4), 0.02)
    plain_SC[np.arange(n), group] += 0.92 * (1 - second)
    plain_SC[np.arange(n), group + 1] += 0.92 * second
    label_S = (rng.random((n, 1)) > plain_SC.cumsum(1)).sum(1).clip(max=3)
    p_SC = plain_SC * [1, 1, 1, factor]
    return p_SC / p_SC.sum(1, keepdims=True), plain_SC, label_S


def test_a_matrix_under_which_a_class_hardly_carries_its_label_is_not_believed():
    """Labels of other rows speak for it (seven standard errors), because it mends the predictions."""
    p_SC, plain_SC, label_S = leaning_to_a_small_class()
    full = fit_transition(p_SC, label_S)
    alike = fit_transition(p_SC, label_S, symmetric=True)
    assert np.diag(full.T_CC).min() < 0.45
    assert cross_halves(p_SC, label_S, full, alike, 0).errors_over_symmetric > 3
    verdict = settled(p_SC, label_S, full, {"a": 0.14}, 0, plain_SC)
    assert verdict.kind == "between"
    assert verdict.interval[0] == pytest.approx(0, abs=1e-3)  # all labels are right
    assert np.diag(verdict.fit.T_CC).min() >= 0.45
    assert verdict.fit.noise_rate < full.noise_rate / 2
    (said,) = (alarm.text for alarm in verdict.alarms if alarm.code == "undecided")
    assert " 0% if wrong labels fall on all classes alike" in said


def test_a_matrix_that_is_near_to_one_rate_has_its_interval_too():
    """Labels are right, and of two readings that are close the one that blames a few of them is chosen."""
    p_SC, plain_SC, label_S = leaning_to_a_small_class(3_000, 0.05, (1, 6), 5)
    full = fit_transition(p_SC, label_S)
    verdict = settled(p_SC, label_S, full, {"a": 0.07}, 0, plain_SC)
    assert verdict.kind == "full"
    assert verdict.fit.noise_rate == full.noise_rate > 0.05
    assert verdict.interval[0] == pytest.approx(0, abs=1e-3)


def test_a_matrix_for_which_other_labels_speak_loudly_is_believed_though_a_class_is_weak():
    T_CC = np.array([[0.4, 0.6, 0.0, 0.0], [0.0, 0.9, 0.1, 0.0], [0.0, 0.0, 0.9, 0.1], [0.1, 0.0, 0.0, 0.9]])
    p_SC, class_S, label_S = calibrated(T_CC, 1_500, 0)
    verdict = settled(p_SC, label_S, fit_transition(p_SC, label_S), {"a": 0.2}, 0, p_SC @ T_CC)
    assert (verdict.kind, {"weak_diagonal"} <= {alarm.code for alarm in verdict.alarms}) == ("full", True)
    assert verdict.fit.noise_rate == pytest.approx((label_S != class_S).mean(), abs=0.02)


def test_the_interval_has_a_leeway_for_rows_whose_class_is_left_open():
    assert interval(0.3, 0.0, 0.1) == pytest.approx((0.2, 0.4))
    low, high = interval(0.3, 0.1, 0.1)
    reach = interval(0.5, 0.1)[1] - 0.5
    assert (low, high) == pytest.approx((0.3 - np.hypot(reach, 0.1), 0.3 + np.hypot(reach, 0.1)))
    p_SC, _, label_S = calibrated(pair(5, 0.3), 1_500, 0)
    verdict = verdict_on(p_SC, label_S)
    open_share = 1 - (p_SC**verdict.fit.exponent / (p_SC**verdict.fit.exponent).sum(1, keepdims=True)).max(1).mean()
    assert verdict.kind == "full"
    assert (verdict.interval[1] - verdict.interval[0]) / 2 > open_share / 3 > 0.05


def test_where_both_kinds_agree_neither_is_in_doubt():
    for T_CC, kind in ((symmetric(5, 0.3), "symmetric"), (pair(5, 0.3), "full")):
        p_SC, class_S, label_S = calibrated(T_CC, 1_500, 0)
        verdict = verdict_on(p_SC, label_S)
        assert verdict.kind == kind
        assert verdict.fit.noise_rate == pytest.approx((label_S != class_S).mean(), abs=0.03)
        assert "undecided" not in {alarm.code for alarm in verdict.alarms}


def test_the_interval_of_two_classes_says_that_overlap_looks_like_noise():
    p_SC, _, label_S = calibrated(symmetric(2, 0.3), 600, 0)
    verdict = verdict_on(p_SC, label_S)
    assert verdict.interval[0] <= verdict.fit.noise_rate - 0.1
    assert verdict.interval[1] >= verdict.fit.noise_rate + 0.1


def test_what_predictions_miss_bounds_the_noise_from_above():
    """Labels that are wrong where two classes meet, and only there: one rate and a matrix see none of it."""
    p_SC, class_S, _ = overlapping(np.eye(4), 1_000, 5, 0.5)
    second_S = np.argsort(p_SC, axis=1)[:, -2]
    label_S = np.where(np.sort(p_SC, axis=1)[:, -1] < 0.8, second_S, class_S)
    # networks learn such labels as they are: predictions are those of the labels
    p_SC[np.sort(p_SC, axis=1)[:, -1] < 0.8] = 0.25
    verdict = verdict_on(p_SC, label_S)
    assert (label_S != class_S).mean() > 0.1
    assert verdict.interval[0] <= (label_S != class_S).mean() <= verdict.interval[1]
    assert "hard_rows" in {alarm.code for alarm in verdict.alarms}
