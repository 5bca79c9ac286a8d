"""A space as a unit cube, for rules that know nothing of simplices: (0, 1)^X <-> points.

A point uniform in the cube is a point uniform in the space. Weights on a simplex are exponentials, normalised:

    alpha = e / sum e,   e_i = -ln u_i        and back:   u_i = exp(-n alpha_i)

The way back chooses sum e = n, its mean, among the many e of one alpha; so cube -> point -> cube -> point ends at the
same point. Every other coordinate lies in (0, 1) already.

Shapes: S points, X coordinates of a point and of the cube.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from s2e.search.distributions import X_MIN, Array, Dirichlet
from s2e.search.space import Space


def from_cube(space: Space, u_SX: ArrayLike) -> Array:
    """The points at these places of the cube, kept off its borders: (S, X)."""
    x_SX = np.clip(np.asarray(u_SX, dtype=np.float64), X_MIN, 1 - X_MIN)
    for part in _simplices(space):
        e_SX = -np.log(x_SX[:, part])
        x_SX[:, part] = e_SX / e_SX.sum(axis=1, keepdims=True)
    return x_SX


def to_cube(space: Space, x_SX: ArrayLike) -> Array:
    """A place of the cube for each point: (S, X)."""
    u_SX = np.array(x_SX, dtype=np.float64)
    for part in _simplices(space):
        u_SX[:, part] = np.exp(-(part.stop - part.start) * u_SX[:, part])
    return u_SX


def _simplices(space: Space) -> Iterator[slice]:
    """The coordinates of each Dirichlet block."""
    start = 0
    for block in space.blocks:
        if isinstance(block, Dirichlet):
            yield slice(start, start + block.n_x)
        start += block.n_x
