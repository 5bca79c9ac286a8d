"""The paper's step as printed, sign fixed: its formula, and that nothing it does can leave the bounds."""

import numpy as np

from s2e.search.newton_literal import NewtonLiteral, literal_step
from s2e.search.space import S2E, THETA_MAX, THETA_MIN
from s2e.words import Observation, SearchState


def round_of(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return S2E.sample(np.full(36, 2.0), rng, n), rng.uniform(0.1, 0.9, n)


def test_the_step_solves_eq_8_with_the_sign_of_a_minimisation() -> None:
    theta, (x, f) = np.full(36, 2.0), round_of(6)
    s = S2E.score(theta, x)
    g = sum(fi * si for fi, si in zip(f, s, strict=True)) / 6
    h = sum(fi * (np.outer(si, si) - S2E.fisher(theta)) for fi, si in zip(f, s, strict=True)) / 6
    np.testing.assert_allclose(h @ literal_step(S2E, theta, x, f), -g, atol=1e-8)


def test_one_sample_is_a_natural_gradient_step() -> None:
    """H^-1 g = F^-1 s / (s' F^-1 s - 1) whatever f is."""
    theta, (x, f) = np.full(36, 2.0), round_of(1)
    s = S2E.score(theta, x)[0]
    natural = np.linalg.solve(S2E.fisher(theta), s)
    np.testing.assert_allclose(literal_step(S2E, theta, x, f), -natural / (s @ natural - 1), rtol=1e-8)


def test_without_a_baseline_a_constant_objective_moves_theta() -> None:
    """The flaw that the repaired rule mends: the step is mostly independent of the objective."""
    theta, (x, _) = np.full(36, 2.0), round_of(6)
    assert np.abs(literal_step(S2E, theta, x, np.full(6, 0.4))).max() > 0.01


def test_zero_objectives_move_nothing() -> None:
    x, _ = round_of(6)
    np.testing.assert_array_equal(literal_step(S2E, np.full(36, 2.0), x, np.zeros(6)), 0)


def test_a_singular_hessian_is_solved_by_least_squares() -> None:
    """Opposite objectives make F cancel: H = (s1 s1' - s2 s2') / 2 has rank 2, and its inverse does not exist."""
    theta, (x, _) = np.full(36, 2.0), round_of(2)
    step = literal_step(S2E, theta, x, np.array([1.0, -1.0]))
    s = S2E.score(theta, x)
    assert np.isfinite(step).all()
    np.testing.assert_allclose((np.outer(s[0], s[0]) - np.outer(s[1], s[1])) @ step, -(s[0] - s[1]), atol=1e-8)


def test_theta_stays_in_its_bounds() -> None:
    searcher = NewtonLiteral(S2E, 0, 30)
    for seed in range(20):
        x, f = round_of(36, seed)
        state = SearchState(0, tuple(np.linspace(THETA_MIN, THETA_MAX, 36).tolist()), {})
        told = [Observation(k, S2E.point(vector), float(f[k])) for k, vector in enumerate(x)]
        theta = np.array(searcher.tell(state, told).theta)
        assert ((theta >= THETA_MIN) & (theta <= THETA_MAX)).all()
