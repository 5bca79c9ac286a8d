"""Plain networks beside those under the matrix: which of them predict labels better, and who ranks them then."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from s2e.labels.alarms import BETTER
from s2e.labels.issues import label_quality
from s2e.labels.judged import PLAIN_WEIGHT, judged
from s2e.labels.noise import LabelFit, Plain
from s2e.labels.verdict import NoiseEstimate, over_plain
from s2e.words import replace

RNG = np.random.default_rng(0)
N = 3_000
P = RNG.beta(0.4, 0.4, N)
P_SC = np.stack([P, 1 - P], axis=1)
T = np.array([[0.7, 0.3], [0.05, 0.95]])
NOISY_SC = P_SC @ T
LABEL_S = (RNG.random(N) > NOISY_SC[:, 0]).astype(np.int64)


def test_networks_that_say_the_same_of_labels_are_equal() -> None:
    assert abs(over_plain(P_SC, T, NOISY_SC, LABEL_S)) < 2


def test_a_better_network_or_a_wrong_matrix_decides() -> None:
    assert over_plain(P_SC, T, np.full_like(P_SC, 0.5), LABEL_S) > 10
    assert over_plain(P_SC, T[::-1, ::-1], NOISY_SC, LABEL_S) < -10
    assert over_plain(P_SC, T, P_SC, LABEL_S) > BETTER  # a temperature makes up for no matrix


def fit_of(n: int = 50) -> LabelFit:
    p_SC, plain_SC = RNG.dirichlet([1, 1], n), RNG.dirichlet([1, 1], n)
    margins = RNG.normal(size=(2, n)).astype(np.float32)
    transition = ((0.8, 0.2), (0.2, 0.8))
    noise = NoiseEstimate(n, 0.2, (0.1, 0.3), transition, "full", 0.8, 1.0, -0.5, (), {"a": 0.2}, 100.0)
    none_HC = np.empty((0, 2))
    return LabelFit(noise, p_SC, p_SC, margins[0], none_HC, none_HC, Plain(plain_SC, margins[1]), BETTER)


def test_plain_networks_rank_labels_where_no_matrix_is_clearly_better() -> None:
    fit = fit_of()
    row_S, label_S = np.arange(50), RNG.integers(0, 2, 50)
    known, classes = np.array([3, 4]), np.array(["a", "b"])
    infinite_S = [margin_S.astype(np.float64) for margin_S in (fit.margin_S, fit.plain.margin_S)]
    for margin_S in infinite_S:
        margin_S[known] = np.inf
    robust_S = label_quality(1 - fit.posterior_SC[row_S, label_S], infinite_S[0])
    plain_S = label_quality(1 - fit.plain.p_SC[row_S, label_S], infinite_S[1])
    np.testing.assert_array_equal(judged(fit, label_S, classes, known).label_quality, robust_S)
    both = judged(replace(fit, over_plain=BETTER - 0.1), label_S, classes, known)
    sums_S = PLAIN_WEIGHT * rankdata(plain_S) + (1 - PLAIN_WEIGHT) * rankdata(robust_S)
    np.testing.assert_array_equal(np.argsort(both.label_quality, kind="stable"), np.argsort(sums_S, kind="stable"))
    assert both.probability_wrong == pytest.approx(1 - fit.posterior_SC[row_S, label_S])
