"""The first trials of a search: eq. (1) over the values of tau that a job may need.

Most of what a schedule is worth is how much it drops in the end; where that was measured, the best drop was near 1.2
times the share of wrong labels (docs/search.md). Where the share is known, the first trials are around it; where not,
they cover it. A space that does not hold eq. (1) gives its nearest curve.

Shapes: S curves, T epochs, G segments, X coordinates of a point, P candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2e.schedule import coteaching_keep_rate
from s2e.search.distributions import Array
from s2e.search.space import Space
from s2e.search.surrogate import segment_means

TAUS = ((0.55, 1 / 6), (0.3, 1 / 6), (0.7, 1 / 3), (0.15, 1 / 6), (0.45, 1 / 3), (0.6, 1 / 3))
"""(tau, t_k / T) of the first trials, where no share of wrong labels is known: any prefix of them is spread."""
MULTIPLES = ((1.2, 1 / 6), (1.0, 1 / 6), (1.4, 1 / 3), (0.7, 1 / 6), (1.2, 1 / 3), (1.0, 1 / 3))
"""The same in multiples of a known share."""
ESTIMATED = ((1.2, 1 / 6), (1.0, 1 / 6))
"""Multiples of an estimated share that come before the first four of TAUS: an estimate may be wrong, and then they are
what saves the search."""
TAU_MAX = 0.95
N_UNIFORM, N_AROUND = 1_000, 200
"""Candidates of the first step towards a curve, and of each of the next."""
CONCENTRATIONS = (10.0, 30.0, 100.0, 300.0, 1000.0)
"""Of the density around the best candidate so far, step by step."""


def portfolio(n_epochs: int, tau: float | None, estimate: float | None = None) -> Array:
    """Curves for the first trials, around ``tau`` where it is known, with an ``estimate`` of it among them: (S, T)."""
    shapes = list(TAUS)
    if tau is not None:
        shapes = _multiples(MULTIPLES, tau)
    elif estimate is not None:
        shapes = [*_multiples(ESTIMATED, estimate), *TAUS][: len(TAUS)]
    return np.array([coteaching_keep_rate(n_epochs, one, max(1, round(share * n_epochs))) for one, share in shapes])


def _multiples(shapes: Sequence[tuple[float, float]], tau: float) -> list[tuple[float, float]]:
    return [(min(TAU_MAX, factor * tau), share) for factor, share in shapes]


def nearest(space: Space, curve_T: Array, n_epochs: int, rng: np.random.Generator) -> Array:
    """A point whose curve is near to a given one, in the root mean square of segment means: (X,).

    The best of uniform draws, and then of draws around the best so far, closer each time. Coordinates of training
    parameters, which a curve does not decide, are as they are drawn.
    """
    wanted_G = segment_means(curve_T[None])[0]

    def closest(x_PX: Array) -> Array:
        mean_PG = space.features(x_PX, n_epochs)[:, : len(wanted_G)]
        return np.asarray(x_PX[np.square(mean_PG - wanted_G).sum(axis=1).argmin()])

    best_X = closest(space.sample(space.initial_theta(), rng, N_UNIFORM))
    for concentration in CONCENTRATIONS:
        around_PX = space.sample(space.around(best_X, concentration), rng, N_AROUND)
        best_X = closest(np.concatenate([best_X[None], around_PX]))
    return best_X
