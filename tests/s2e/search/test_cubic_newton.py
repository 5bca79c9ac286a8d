"""The cubic-regularised step: the minimum of its model, along negative curvature too."""

import numpy as np
import pytest
from scipy.optimize import minimize

from s2e.search.cubic_newton import CubicNewton, CubicNewtonLiteral, cubic_step
from s2e.search.model_newton import INNER_STEPS, KL_MAX, ModelNewton
from s2e.search.newton_literal import literal_derivatives
from s2e.search.space import S2E
from s2e.words import Observation


def model(h: np.ndarray, g: np.ndarray, hessian: np.ndarray, cubic: float) -> float:
    return float(g @ h + h @ hessian @ h / 2 + cubic * np.linalg.norm(h) ** 3 / 6)


def problem(seed: int, n: int = 6) -> tuple[np.ndarray, np.ndarray, float]:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n, n))
    return rng.standard_normal(n), (root + root.T) / 2, float(np.exp(rng.uniform(-2, 2)))


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_global_minimum_of_the_cubic_model(seed: int) -> None:
    """No local search from 20 places ends lower; the gradient of the model vanishes there."""
    g, hessian, cubic = problem(seed)
    h = cubic_step(g, hessian, cubic)
    np.testing.assert_allclose(g + hessian @ h + cubic * np.linalg.norm(h) * h / 2, 0, atol=1e-7)
    rng = np.random.default_rng(seed)
    for start in 3 * rng.standard_normal((20, len(g))):
        assert model(h, g, hessian, cubic) <= minimize(model, start, (g, hessian, cubic)).fun + 1e-6


def test_a_saddle_is_left_along_its_negative_curvature() -> None:
    """g = 0, H = diag(-1, 2): l = 1, |h| = 2 l / M = 4 along the first axis; a linear part along the other stays."""
    np.testing.assert_allclose(cubic_step(np.zeros(2), np.diag([-1.0, 2.0]), 0.5), [4, 0], atol=1e-9)
    h = cubic_step(np.array([0.0, 3.0]), np.diag([-1.0, 2.0]), 0.5)
    np.testing.assert_allclose(h, [np.sqrt(16 - 1), -1], atol=1e-6)


def test_no_slope_and_no_curvature_is_no_step() -> None:
    np.testing.assert_allclose(cubic_step(np.zeros(3), np.zeros((3, 3)), 1.0), 0, atol=1e-9)
    np.testing.assert_allclose(cubic_step(np.zeros(3), np.eye(3), 1.0), 0, atol=1e-9)


def test_a_light_cube_is_newton_s_step_and_a_heavy_one_a_short_step_down() -> None:
    g, root, _ = problem(0)
    hessian = root @ root + np.eye(6)
    np.testing.assert_allclose(cubic_step(g, hessian, 1e-9), -np.linalg.solve(hessian, g), rtol=1e-6)
    h = cubic_step(g, hessian, 1e8)
    assert np.linalg.norm(h) < 1e-3
    assert -h @ g / np.linalg.norm(h) / np.linalg.norm(g) == pytest.approx(1, abs=1e-3)


def told(rule: ModelNewton | CubicNewtonLiteral, n: int = 6) -> list[Observation]:
    points = [rule.ask(rule.init(), k) for k in range(n)]
    return [Observation(k, p, float(np.mean((np.array(p.values) - 0.3) ** 2))) for k, p in enumerate(points)]


def test_the_literal_rule_steps_on_the_round_s_own_derivatives() -> None:
    rule = CubicNewtonLiteral(S2E, 0, 40, cubic=2.0)
    observations = told(rule)
    x = S2E.vectors([o.point for o in observations])
    g, hessian = literal_derivatives(S2E, np.ones(36), x, np.array([o.objective for o in observations]))
    expected = np.clip(1 + cubic_step(g, hessian, 2.0), 1, 200)
    np.testing.assert_allclose(rule.tell(rule.init(), observations).theta, expected)


def test_on_the_surrogate_a_round_stays_within_its_divergence() -> None:
    rule, plain = CubicNewton(S2E, 0, 40, cubic=0.5), ModelNewton(S2E, 0, 40)
    observations = told(rule)
    moved = rule.tell(rule.init(), observations)
    assert 0 < S2E.kl(moved.theta, np.ones(36)) <= KL_MAX
    assert moved.theta != plain.tell(plain.init(), observations).theta
    assert moved.memory == plain.tell(plain.init(), observations).memory
    assert np.linalg.norm(rule._step(np.full(36, 9.0), np.eye(36))) <= np.sqrt(2 * KL_MAX / INNER_STEPS) + 1e-9
