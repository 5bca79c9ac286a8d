"""Gradient descent beside the Newton step."""

import numpy as np
import pytest

from s2e.search.gradient import gradient_step
from s2e.search.newton import TRUST_REGION
from s2e.search.space import S2E


@pytest.mark.parametrize(("n", "theta_0", "is_cut"), [(2, 1.0, True), (200, 2.0, False)])
def test_the_step_is_the_negative_gradient_inside_the_trust_region(n: int, theta_0: float, is_cut: bool) -> None:
    theta, rng = np.full(36, theta_0), np.random.default_rng(0)
    x, f = S2E.sample(theta, rng, n), rng.uniform(0.1, 0.9, n)
    expected = np.zeros(36)
    for x_k, f_k in zip(x, f, strict=True):
        expected -= (f_k - f.mean()) / f.std() * S2E.score(theta, x_k[None])[0] / n
    length = np.sqrt(expected @ S2E.fisher(theta) @ expected)
    assert (length > TRUST_REGION) == is_cut
    expected *= min(1, TRUST_REGION / length)
    np.testing.assert_allclose(gradient_step(S2E, theta, x, f), expected, rtol=1e-6, atol=1e-9)


def test_equal_objectives_move_nothing() -> None:
    x = S2E.sample(np.full(36, 2.0), np.random.default_rng(0), 6)
    np.testing.assert_array_equal(gradient_step(S2E, np.full(36, 2.0), x, np.full(6, 0.3)), 0)
