"""Points of the grid."""

from itertools import product

import numpy as np
import pytest

from s2e.search.cube import to_cube
from s2e.search.grid import Grid, factorial_point, sobol_point
from s2e.search.space import S2E, Space
from s2e.search.spaces import COTEACHING, SINGLE1
from s2e.words import Observation


@pytest.mark.parametrize("n_x", [1, 2, 3])
def test_whole_grids_follow_each_other(n_x: int) -> None:
    """One level, then two, then four to a coordinate, each the middle of its cell."""
    start = 0
    for levels in (1, 2, 4):
        grid = [tuple(factorial_point(start + i, n_x).tolist()) for i in range(levels**n_x)]
        assert sorted(grid) == sorted(product(((np.arange(levels) + 0.5) / levels).tolist(), repeat=n_x))
        start += levels**n_x


def test_an_unfinished_grid_covers_the_space_too() -> None:
    """The first four points of the 4 x 4 grid lie in the four quarters."""
    points = np.array([factorial_point(1 + 4 + i, 2) for i in range(4)])
    assert {tuple(half) for half in (points > 0.5).tolist()} == set(product((False, True), repeat=2))


def test_sobol_points_by_hand() -> None:
    """The sequence in two dimensions begins (0, 0), (1/2, 1/2), (3/4, 1/4), (1/4, 3/4)."""
    points = [sobol_point(i, 2).tolist() for i in range(3)]
    assert points == [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75]]


@pytest.mark.parametrize(("space", "is_factorial"), [(SINGLE1, True), (COTEACHING, False), (S2E, False)])
def test_rounds_continue_the_grid_whatever_their_size_and_seed(space: Space, is_factorial: bool) -> None:
    searcher = Grid(space, 5, 30)
    state, seen = searcher.init(), []
    for size in (3, 5, 2):
        points = [searcher.ask(state, k) for k in range(size)]
        seen += points
        state = searcher.tell(state, [Observation(k, point, 0.5, failed=k == 0) for k, point in enumerate(points)])
    other = Grid(space, 6, 30)
    assert seen == [other.ask(other.init(), k) for k in range(10)]
    assert len(set(seen)) == 10
    assert np.allclose(to_cube(space, space.vectors(seen[:1])), 0.5) == is_factorial
