"""Every space of schedules against its formula, one number at a time, and what each can and cannot represent."""

import math

import numpy as np
import pytest
from scipy.stats import kstest, norm

from s2e.schedule import R_MIN, bases, coteaching_keep_rate, keep_rate
from s2e.search import spaces
from s2e.search.space import S2E, Space

T = 30


def drawn(space: Space, size: int = 6, seed: int = 0) -> np.ndarray:
    return space.sample(space.initial_theta(), np.random.default_rng(seed), size)


def clipped(value: float) -> float:
    return min(1.0, max(R_MIN, value))


def test_coteaching_is_eq_1() -> None:
    x = drawn(spaces.COTEACHING, 40)
    seen = set()
    for vector, curve in zip(x, spaces.COTEACHING.curves(x, T), strict=True):
        c = [0.5, 1.0, 2.0][int(np.argmax(vector[2:]))]
        seen.add(c)
        by_hand = [clipped(1 - vector[0] * min((t / (T * vector[1])) ** c, 1)) for t in range(T)]
        np.testing.assert_allclose(curve, by_hand, rtol=1e-12)
    assert seen == {0.5, 1.0, 2.0}


def test_the_exponent_of_eq_1_is_uniform_over_its_three_values() -> None:
    """3000 draws: each count is 1000 with a standard deviation of 26."""
    counts = np.bincount(np.argmax(drawn(spaces.COTEACHING, 3000)[:, 2:], axis=1), minlength=3)
    assert np.abs(counts - 1000).max() < 105


@pytest.mark.parametrize("i", range(4))
def test_a_single_basis_is_that_row_of_table_1(i: int) -> None:
    space = [spaces.SINGLE1, spaces.SINGLE2, spaces.SINGLE3, spaces.SINGLE4][i]
    x = drawn(space)
    chosen = np.concatenate([np.tile(np.eye(4)[i], (len(x), 1)), x], axis=1)
    np.testing.assert_array_equal(space.curves(x, T), spaces.SINGLE.curves(chosen, T))
    for vector, curve in zip(x, space.curves(x, T), strict=True):
        table_1 = keep_rate(np.eye(4)[i], np.tile(vector, (4, 1)), T)
        np.testing.assert_array_equal(curve, table_1)
        f_T = bases(np.tile(vector, (4, 1)), np.arange(T), T)[i]
        np.testing.assert_array_equal(curve[1:], np.clip(f_T, R_MIN, 1)[1:])


def test_the_official_program_number_by_number() -> None:
    x = drawn(spaces.S2E_OFFICIAL12, 20)
    for vector, curve in zip(x, spaces.S2E_OFFICIAL12.curves(x, T), strict=True):
        w1, p1, b1, p2, b2, p3, b3, w2, c5, b5, b4, p4 = (float(v) for v in vector * spaces.OFFICIAL_SCALE)
        for t in range(1, T):
            forgotten = w1 * (1 - math.exp(-b1 * t**p1)) + (1 - w1) * w2 * (1 - (1 + b2 * t) ** -p2)
            forgotten += (1 - w1) * (1 - w2) * (1 - math.log(1 + c5) / math.log(1 + c5 + b5 * t))
            forgotten -= b3 * (t / T) ** p3 + b4 * math.log(1 + t**p4) / math.log(1 + T**p4)
            assert curve[t] == pytest.approx(clipped(1 - forgotten), rel=1e-9)


@pytest.mark.parametrize(("c5", "b5", "kept"), [(0.0, 0.0, 1.0), (0.0, 1.0, R_MIN), (1.0, 0.0, 1.0)])
def test_the_logarithmic_decay_is_defined_at_its_borders(c5: float, b5: float, kept: float) -> None:
    """log 1 / log 1 is 0/0 in the official program; without growth nothing is forgotten."""
    x = np.zeros((1, 12))
    x[0, 8], x[0, 9] = c5, b5
    np.testing.assert_array_equal(spaces.S2E_OFFICIAL12.curves(x, 5)[0], [1.0, *([kept] * 4)])


def test_the_extended_space_contains_table_1_exactly() -> None:
    x = drawn(S2E)
    extended = np.concatenate([np.zeros((len(x), 1)), np.full((len(x), 3), 0.3), x], axis=1)
    np.testing.assert_array_equal(spaces.S2E_EXTENDED.curves(extended, T), S2E.curves(x, T))


@pytest.mark.parametrize(("u", "c"), [(0.25, 0.5), (0.5, 1.0), (0.75, 2.0), (1.0, 4.0)])
def test_the_extended_space_contains_eq_1_exactly(u: float, c: float) -> None:
    x = np.concatenate([[1.0, 0.6, 0.5, u], drawn(S2E, 1)[0]])[None]
    np.testing.assert_array_equal(spaces.S2E_EXTENDED.curves(x, T)[0], coteaching_keep_rate(T, 0.6, 0.5 * T, c))


def test_a_plateau_before_the_drop_is_in_the_extended_space_only() -> None:
    """R > 0.98 for a third of the training and then a drop by 0.6: all bases of Table 1 are steepest at t = 0."""

    def has_plateau(curve: np.ndarray) -> bool:
        return bool(curve[T // 3] > 0.98 and curve.min() < 0.5)

    eq_1 = np.concatenate([[1.0, 0.6, 0.9, 1.0], drawn(S2E, 1)[0]])[None]
    assert has_plateau(spaces.S2E_EXTENDED.curves(eq_1, T)[0])
    assert not any(has_plateau(curve) for curve in S2E.curves(drawn(S2E, 4000), T))


def test_rbf_by_hand() -> None:
    x = drawn(spaces.RBF)
    for vector, curve in zip(x, spaces.RBF.curves(x, T), strict=True):
        z = norm.ppf(vector)
        for t in range(T):
            units = [math.exp(-(((t / T - vector[u]) / (vector[4 + u] / 2)) ** 2) / 2) for u in range(4)]
            total = z[12] + sum(z[8 + u] * units[u] for u in range(4))
            assert curve[t] == pytest.approx(clipped(1 / (1 + math.exp(-total))), rel=1e-9)


def test_mlp_by_hand() -> None:
    x = drawn(spaces.MLP)
    for vector, curve in zip(x, spaces.MLP.curves(x, T), strict=True):
        z = norm.ppf(vector)
        for t in range(T):
            total = z[12] + sum(z[8 + u] * max(0.0, z[u] * t / T + z[4 + u]) for u in range(4))
            assert curve[t] == pytest.approx(clipped(1 / (1 + math.exp(-total))), rel=1e-9)


def test_uniform_numbers_become_normal_ones_within_limits() -> None:
    z = spaces.normal(np.random.default_rng(0).uniform(size=4000))
    assert kstest(z, "norm").pvalue > 0.01
    assert np.abs(spaces.normal(np.array([0.0, 1.0]))).max() < 4.8
