"""S2E Table 1, eq. (4) and eq. (1), with the edge cases decided in one place."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2e.schedule import R_MIN, bases, coteaching_keep_rate, keep_rate, keep_rate_at, n_keep

unit = st.one_of(st.sampled_from([0.0, 1.0, 1e-300, 5e-324, 1 - 1e-16]), st.floats(0, 1))
simplex = st.lists(unit, min_size=4, max_size=4).map(lambda e: np.array(e) / sum(e) if sum(e) > 0 else np.eye(4)[0])
cube = st.lists(unit, min_size=16, max_size=16).map(lambda a: np.array(a).reshape(4, 4))


def by_hand(i: int, t: int, n_epochs: int, a1: float, a2: float, a3: float, a4: float) -> float:
    """Table 1, one number at a time."""
    decay = math.exp(-a2 * t**a1) if i in (1, 2) else (1 + a2 * t) ** (-a1)
    rise = (t / n_epochs) ** a4 if i in (1, 3) else math.log(1 + t**a4) / math.log(1 + n_epochs**a4)
    return decay + a3 * rise


def test_bases_are_table_1() -> None:
    beta = np.random.default_rng(0).uniform(0.05, 1, (4, 4))
    n_epochs = 50
    f_4T = bases(beta, np.arange(n_epochs), n_epochs)
    expected = [[by_hand(i + 1, t, n_epochs, *beta[i]) for t in range(n_epochs)] for i in range(4)]
    np.testing.assert_allclose(f_4T, expected, rtol=1e-13)


def test_keep_rate_mixes_the_bases_and_clips() -> None:
    rng = np.random.default_rng(1)
    alpha, beta = rng.dirichlet(np.ones(4)), rng.uniform(0.05, 1, (4, 4))
    mixed = [sum(alpha[i] * by_hand(i + 1, t, 30, *beta[i]) for i in range(4)) for t in range(30)]
    np.testing.assert_allclose(keep_rate(alpha, beta, 30), np.clip(mixed, R_MIN, 1), rtol=1e-13)


def test_a_batch_of_points_equals_its_points_one_by_one() -> None:
    rng = np.random.default_rng(2)
    alpha, beta = rng.dirichlet(np.ones(4), (3, 5)), rng.uniform(0, 1, (3, 5, 4, 4))
    together = keep_rate(alpha, beta, 17)
    assert together.shape == (3, 5, 17)
    for i in np.ndindex(3, 5):
        np.testing.assert_array_equal(together[i], keep_rate(alpha[i], beta[i], 17))


def test_some_epochs_equal_the_same_epochs_of_the_whole_curve() -> None:
    rng = np.random.default_rng(3)
    alpha, beta = rng.dirichlet(np.ones(4)), rng.uniform(0, 1, (4, 4))
    np.testing.assert_array_equal(keep_rate_at(alpha, beta, [0, 7, 199], 200), keep_rate(alpha, beta, 200)[[0, 7, 199]])


def test_zero_to_the_power_zero_is_zero_in_the_exponents() -> None:
    """With a1 = a4 = 0, NumPy's 0^0 = 1 would give f1(0) = exp(-a2) + a3 = 0.368 + 1; the limit from inside is 1."""
    beta = np.tile([0.0, 1.0, 1.0, 0.0], (4, 1))
    np.testing.assert_array_equal(bases(beta, [0], 10)[:, 0], 1.0)


def test_both_clips_bind() -> None:
    rising = np.tile([0.0, 0.0, 1.0, 1.0], (4, 1))
    falling = np.tile([1.0, 1.0, 0.0, 1.0], (4, 1))
    assert bases(rising, [9], 10).max() > 1
    assert keep_rate([1, 0, 0, 0], rising, 10).max() == 1.0
    assert bases(falling, [9], 10)[0, 0] < R_MIN
    assert keep_rate([1, 0, 0, 0], falling, 10)[-1] == R_MIN


@given(alpha=simplex, beta=cube, n_epochs=st.sampled_from([1, 2, 30, 200]), batch_size=st.integers(1, 2048))
def test_every_point_gives_a_usable_schedule(
    alpha: np.ndarray, beta: np.ndarray, n_epochs: int, batch_size: int
) -> None:
    r_T = keep_rate(alpha, beta, n_epochs)
    assert r_T.shape == (n_epochs,)
    assert r_T[0] == 1.0
    assert ((r_T >= R_MIN) & (r_T <= 1)).all()
    kept_T = n_keep(r_T, batch_size)
    assert kept_T[0] == batch_size
    assert ((kept_T >= 1) & (kept_T <= batch_size)).all()


def test_n_keep_is_the_floor_without_rounding_accidents() -> None:
    assert 0.29 * 100 < 29  # what int() would get wrong
    assert n_keep([0.29, 0.55, 0.5, 0.999, 1.0, 0.0], 100).tolist() == [29, 55, 50, 99, 100, 1]


def test_coteaching_is_eq_1_literally() -> None:
    assert coteaching_keep_rate(6, 0.4, 4) == pytest.approx((1.0, 0.9, 0.8, 0.7, 0.6, 0.6), abs=1e-15)
    assert coteaching_keep_rate(4, 0.5, 2, exponent=2) == pytest.approx((1.0, 0.875, 0.5, 0.5), abs=1e-15)


def test_the_official_ramp_ends_an_epoch_early_and_jumps_for_c_other_than_1() -> None:
    """forget[:t_k] = linspace(0, tau^c, t_k), then tau."""
    assert coteaching_keep_rate(6, 0.6, 4, official_linspace=True) == pytest.approx((1.0, 0.8, 0.6, 0.4, 0.4, 0.4))
    squared = coteaching_keep_rate(5, 0.5, 3, 2, official_linspace=True)
    assert squared == pytest.approx((1.0, 0.875, 0.75, 0.5, 0.5))
    assert len(coteaching_keep_rate(3, 0.5, 10, official_linspace=True)) == 3


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("ramp_epochs", [1, 10, 10_000])
def test_coteaching_starts_at_one_and_never_keeps_less_than_1_minus_tau(exponent: float, ramp_epochs: int) -> None:
    r = coteaching_keep_rate(40, 0.45, ramp_epochs, exponent)
    assert r[0] == 1.0
    assert all(1 - 0.45 <= value <= 1 for value in r)
    assert list(r) == sorted(r, reverse=True)
