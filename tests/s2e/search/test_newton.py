"""The repaired Newton step (S2E eqs. 7, 8, Prop. 1)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2e.search.newton import TRUST_REGION, Newton, newton_step
from s2e.search.space import S2E, THETA_MAX, THETA_MIN
from s2e.words import Observation, SearchState

any_objective = st.floats(allow_nan=False, allow_infinity=False)


def round_of(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return S2E.sample(np.full(36, 2.0), rng, n), rng.uniform(0.1, 0.9, n)


def test_the_step_is_the_formula_with_dense_linear_algebra() -> None:
    """The same step by another way: H and g in theta's own coordinates, whitened by a dense Cholesky factor of F."""
    theta, (x, f) = np.linspace(1.5, 6, 36), round_of(8)
    s, fisher = S2E.score(theta, x), S2E.fisher(theta)
    w = (f - f.mean()) / f.std()
    g = sum(wi * si for wi, si in zip(w, s, strict=True)) / 8
    h = sum(wi * (np.outer(si, si) - fisher) for wi, si in zip(w, s, strict=True)) / 8
    inverse_root = np.linalg.inv(np.linalg.cholesky(fisher))
    lam, v = np.linalg.eigh(inverse_root @ h @ inverse_root.T)
    lam = np.abs(lam) + 0.1 * np.abs(lam).max()
    expected = -inverse_root.T @ v @ np.diag(1 / lam) @ v.T @ inverse_root @ g
    length = np.sqrt(expected @ fisher @ expected)
    expected *= min(1, TRUST_REGION / length)
    np.testing.assert_allclose(newton_step(S2E, theta, x, f), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.3333333333, 1.0, -7.0, 1e300, 5e-324])
def test_equal_objectives_move_nothing(value: float) -> None:
    x, _ = round_of(7)
    state = SearchState(3, tuple(np.linspace(1, 9, 36).tolist()), {})
    told = [Observation(k, S2E.point(vector), value) for k, vector in enumerate(x)]
    assert Newton(S2E, 0, 30).tell(state, told) == SearchState(4, state.theta, {})


def test_a_shift_and_a_scale_of_the_objective_change_nothing() -> None:
    x, f = round_of(6)
    theta = np.full(36, 2.0)
    step = newton_step(S2E, theta, x, f)
    np.testing.assert_allclose(newton_step(S2E, theta, x, f + 10), step, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(newton_step(S2E, theta, x, 1e6 * f), step, rtol=1e-6, atol=1e-8)
    # Late in a search objectives differ by little: the smallest damping must not swallow the step.
    np.testing.assert_allclose(newton_step(S2E, theta, x, 0.5 + 1e-4 * f), step, rtol=1e-2, atol=1e-5)


def test_the_step_descends_the_estimated_gradient() -> None:
    for seed in range(10):
        x, f = round_of(6, seed)
        theta = np.full(36, 2.0)
        gradient = ((f - f.mean())[:, None] * S2E.score(theta, x)).mean(axis=0)
        assert newton_step(S2E, theta, x, f) @ gradient < 0


@given(
    f=st.lists(any_objective, min_size=2, max_size=12),
    level=st.sampled_from([THETA_MIN, 3.0, THETA_MAX]),
    seed=st.integers(0, 2**32),
)
def test_no_objective_breaks_the_trust_region(f: list[float], level: float, seed: int) -> None:
    theta = np.full(36, level)
    x = S2E.sample(theta, np.random.default_rng(seed), len(f))
    step = newton_step(S2E, theta, x, np.array(f))
    assert np.isfinite(step).all()
    assert np.sqrt(step @ S2E.fisher(theta) @ step) <= TRUST_REGION * (1 + 1e-6)


def test_a_step_that_is_too_long_is_cut_to_the_trust_region() -> None:
    """Two points one standard deviation to either side of the mean: their scores are almost opposite, so they cancel in
    H and add up in g, and H^-1 g has the whitened length 64."""
    theta = np.full(36, 100.0)
    spread = [np.sqrt(0.25 * 0.75 / 401)] * 4 + [0.5 / np.sqrt(201)] * 16
    aside = spread * np.array([1, -1] * 10)
    x = S2E.mean(theta) + np.array([aside, -aside])
    step = newton_step(S2E, theta, x, np.array([0.2, 0.3]))
    assert np.sqrt(step @ S2E.fisher(theta) @ step) == pytest.approx(TRUST_REGION)
    assert step @ S2E.score(theta, x)[0] > 0  # towards the better of the two


def quadratic(x: np.ndarray, target: np.ndarray) -> float:
    return float(((x - target) ** 2).mean())


def test_a_toy_quadratic_is_descended() -> None:
    """On a quadratic of x the mean point of p_theta ends far below its start within 40 rounds of 6, for every seed."""
    for seed in range(4):
        target = S2E.sample(np.ones(36), np.random.default_rng(1000 + seed), 1)[0]
        searcher = Newton(S2E, seed, 30)
        state = searcher.init()
        start = quadratic(S2E.mean(state.theta), target)
        for _ in range(40):
            points = [searcher.ask(state, k) for k in range(6)]
            told = [Observation(k, p, quadratic(np.array(p.values), target)) for k, p in enumerate(points)]
            state = searcher.tell(state, told)
        assert quadratic(S2E.mean(state.theta), target) < 0.5 * start
