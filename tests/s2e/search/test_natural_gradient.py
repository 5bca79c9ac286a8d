"""The natural gradient beside the Newton step."""

import numpy as np
import pytest

from s2e.search.natural_gradient import natural_gradient_step
from s2e.search.newton import TRUST_REGION
from s2e.search.space import S2E


def round_of(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return S2E.sample(np.full(36, 2.0), rng, n), rng.uniform(0.1, 0.9, n)


@pytest.mark.parametrize("n", [2, 200])
def test_the_step_is_f_inverse_times_the_gradient_by_dense_linear_algebra(n: int) -> None:
    theta, (x, f) = np.full(36, 2.0), round_of(n)
    w = (f - f.mean()) / f.std()
    gradient = (w[:, None] * S2E.score(theta, x)).mean(axis=0)
    expected = -np.linalg.solve(S2E.fisher(theta), gradient)
    length = np.sqrt(expected @ S2E.fisher(theta) @ expected)
    assert (length > TRUST_REGION) == (n == 2)
    expected *= min(1, TRUST_REGION / length)
    np.testing.assert_allclose(natural_gradient_step(S2E, theta, x, f), expected, rtol=1e-5, atol=1e-9)


def test_equal_objectives_move_nothing() -> None:
    x, _ = round_of(6)
    np.testing.assert_array_equal(natural_gradient_step(S2E, np.full(36, 2.0), x, np.full(6, 0.3)), 0)
