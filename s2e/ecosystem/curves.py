"""The point of a space behind a schedule R(t) that came from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import least_squares

from s2e.search.cube import from_cube
from s2e.search.space import Space
from s2e.words import Point

CLOSE = 0.05
"""Largest difference in any epoch that still is the same schedule."""
N_STARTS, N_TRIED = 3, 128


def point_of_curve(space: Space, keep_rate: Sequence[float], n_epochs: int) -> Point:
    """The point whose schedule comes closest. Raises ValueError where it has other epochs, or differs by more than
    CLOSE."""
    if len(keep_rate) != n_epochs:
        raise ValueError(f"keep_rate has {len(keep_rate)} values, one for each of {n_epochs} epochs are wanted")
    curve_T = np.asarray(keep_rate, dtype=np.float64)

    def x_of(
        u_X: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.asarray(from_cube(space, np.clip(u_X, 1e-4, 1 - 1e-4)[None])[0])

    def misses(
        u_X: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.asarray(space.curves(x_of(u_X)[None], n_epochs)[0] - curve_T)

    starts = np.random.default_rng(0).random((N_TRIED, space.n_x))
    starts = starts[np.argsort([np.square(misses(u_X)).sum() for u_X in starts], kind="stable")[:N_STARTS]]
    fits = [least_squares(misses, u_X, bounds=(0, 1), max_nfev=60) for u_X in starts]
    best = min(fits, key=lambda fit: fit.cost)
    off = float(np.abs(misses(best.x)).max())
    if off > CLOSE:
        raise ValueError(f"no schedule of the space comes closer to keep_rate than {off:.2f} in some epoch")
    return space.point(x_of(best.x))
