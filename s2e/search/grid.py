"""Grid search: points evenly spread over the space in an order fixed in advance, whatever is observed and drawn.

* With at most GRID_MAX coordinates and no simplex: full factorial grids, one after another, of 1, 2, 4, 8, ... levels
  to a coordinate. A level is the middle of its cell, so no point comes twice; within a grid, neighbours come far apart
  (bit reversal), so an unfinished grid covers the space too. A search of 1 + 2^X + 4^X trials has seen whole grids.
* Otherwise, where even two levels to a coordinate are out of reach, or different places of the cube are one point:
  Sobol's sequence, not scrambled, without its first point (a corner).

Both work in the unit cube of ``cube.py``. The seed changes nothing. ``memory`` counts the points asked so far.

Shapes: X coordinates of a point.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2e.search.cube import from_cube
from s2e.search.distributions import Array, Dirichlet
from s2e.search.relaxation import Relaxation, ordered
from s2e.words import Observation, Point, SearchState

GRID_MAX = 4
"""Most coordinates of a full factorial grid: four have 16 points at two levels and 256 at four."""


class Grid(Relaxation):
    """Asks the points of the grid in their order; theta stays uniform."""

    def ask(self, state: SearchState, k: int) -> Point:
        """The next point after those of earlier rounds and of smaller k."""
        index = state.memory.get("n_asked", 0) + k
        n_x, simplex = self._space.n_x, any(isinstance(block, Dirichlet) for block in self._space.blocks)
        u_X = factorial_point(index, n_x) if n_x <= GRID_MAX and not simplex else sobol_point(index, n_x)
        return self._space.point(from_cube(self._space, u_X[None])[0])

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The next round of the same grid."""
        ordered(self._space, observations, at_least=1)
        asked = state.memory.get("n_asked", 0) + 1 + max(observation.k for observation in observations)
        return SearchState(state.round + 1, state.theta, {"n_asked": asked})


def factorial_point(index: int, n_x: int) -> Array:
    """The point ``index`` of the grids of 1, 2, 4, ... levels to a coordinate, all of them in one row: (X,)."""
    bits = 0
    while index >= 2 ** (bits * n_x):
        index -= 2 ** (bits * n_x)
        bits += 1
    level_X = np.zeros(n_x)
    for bit in range(bits):  # the index's lowest bits say in which half each coordinate is, the next ones which quarter
        for j in range(n_x):
            level_X[j] += ((index >> (bit * n_x + j)) & 1) * 2 ** (bits - 1 - bit)
    return np.asarray((level_X + 0.5) / 2**bits)


def sobol_point(index: int, n_x: int) -> Array:
    """The point ``index`` of Sobol's sequence, the corner 0 left out: (X,)."""
    from scipy.stats import qmc  # takes a second to import

    sequence = qmc.Sobol(n_x, scramble=False)
    sequence.fast_forward(index + 1)
    return np.asarray(sequence.random(1)[0])
