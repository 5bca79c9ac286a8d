"""The unit cube of a space: both ways, and what is uniform in it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kstest

from s2e.search.cube import from_cube, to_cube
from s2e.search.distributions import X_MIN
from s2e.search.space import S2E, Space
from s2e.search.spaces import COTEACHING, S2E_EXTENDED


@given(arrays(np.float64, (3, 24), elements=st.floats(0, 1)))
@pytest.mark.parametrize("space", [S2E, S2E_EXTENDED, COTEACHING])
def test_every_place_is_a_point_and_the_way_back_ends_there(space: Space, u: np.ndarray) -> None:
    x = from_cube(space, u[:, : space.n_x])
    assert ((x > 0) & (x < 1)).all()
    back = to_cube(space, x)
    assert ((back > 0) & (back < 1)).all()
    np.testing.assert_allclose(from_cube(space, back), x, rtol=2e-4, atol=2 * X_MIN)


def test_weights_by_hand() -> None:
    """u = (1/e, 1/e^2, 1/e^4, 1/e) gives e = (1, 2, 4, 1), alpha = (1/8, 1/4, 1/2, 1/8)."""
    u = np.full((1, 20), 0.3)
    u[0, :4] = np.exp([-1.0, -2.0, -4.0, -1.0])
    x = from_cube(S2E, u)[0]
    np.testing.assert_allclose(x[:4], [0.125, 0.25, 0.5, 0.125], rtol=1e-12)
    np.testing.assert_array_equal(x[4:], 0.3)
    np.testing.assert_allclose(to_cube(S2E, x[None])[0, :4], np.exp([-0.5, -1.0, -2.0, -0.5]), rtol=1e-12)


def test_uniform_in_the_cube_is_uniform_on_the_simplex() -> None:
    """A coordinate of a uniform point on the simplex of four is Beta(1, 3): P(alpha <= a) = 1 - (1 - a)^3."""
    x = from_cube(S2E, np.random.default_rng(0).random((4000, 20)))
    for i in range(4):
        assert kstest(x[:, i], lambda a: 1 - (1 - a) ** 3).pvalue > 1e-3
