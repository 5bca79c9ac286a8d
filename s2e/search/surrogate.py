"""A Gaussian process over the schedule curve R(t): which of the schedules tried is really the best?

The objective depends on a point only through its curve, and a curve is eight segment means for all practical purposes
(three principal components carry 99.9 % of its variance). One training is noisy, so the best objective observed is a
winner's curse; the lowest posterior mean is not.

Shapes: N trials, M schedules asked about, T epochs, G segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.spatial.distance import cdist

from s2e.errors import SearchError
from s2e.search.distributions import Array

CUTS = (0.0, 0.03, 0.1, 0.2, 0.33, 0.5, 0.67, 0.84, 1.0)
"""Segment borders as fractions of T, finer early, where schedules fall."""
LENGTHSCALES = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Of the Euclidean distance between segment means; two opposite schedules are sqrt(8) apart."""
NOISE_SHARES = (0.01, 0.05, 0.2, 0.5)
"""Fraction of the objective's variance that the seed of a training explains, not its schedule."""
N_MAX = 500
"""Trials used by one fit; more are thinned evenly, because its cost grows with the cube."""
TIE = 1e-9
"""Posterior means closer than this are equal: repeated schedules differ by rounding only."""


class _Fit(NamedTuple):
    log_likelihood: float
    lengthscale: float
    noise_share: float
    root: Array
    """Lower Cholesky factor of the covariance of the observed scores: (N, N)."""
    coefficient: Array
    """Covariance^-1 score: (N,)."""


def segment_means(keep_rate_NT: ArrayLike) -> Array:
    """Means of R between the CUTS of T, empty segments of a short training left out: (N, G)."""
    curves = np.asarray(keep_rate_NT, dtype=np.float64)
    if curves.ndim != 2 or curves.size == 0:
        raise SearchError(f"schedules of one length are needed, found an array of shape {curves.shape}")
    edges = np.unique(np.rint(np.array(CUTS) * curves.shape[1]).astype(int))
    return np.asarray(np.add.reduceat(curves, edges[:-1], axis=1) / np.diff(edges))


def standardised(objective_N: ArrayLike) -> Array:
    """Scores with mean 0 and variance 1, lower is better; all zero when the objectives are equal: (N,).

    What is worse than the median is compressed by a logarithm: how bad a bad schedule is does not matter.
    """
    f_N = np.asarray(objective_N, dtype=np.float64)
    if not np.isfinite(f_N).all():
        raise SearchError("every objective must be a finite number")
    if f_N.min() == f_N.max():
        return np.zeros_like(f_N)
    z_N = (f_N - np.median(f_N)) / f_N.std()
    z_N = np.where(z_N > 0, np.log1p(np.maximum(z_N, 0)), z_N)
    return np.asarray((z_N - z_N.mean()) / z_N.std())


class CurveSurrogate:
    """Matern-5/2 on segment means, lengthscale and noise share by maximum likelihood on a grid. Deterministic.

    Means and variances are in the standardised units of the fit (see :func:`standardised`).
    """

    def __init__(self, keep_rate_NT: ArrayLike, objective_N: ArrayLike) -> None:
        features_NG, score_N = segment_means(keep_rate_NT), standardised(objective_N)
        if len(features_NG) != len(score_N):
            raise SearchError(f"{len(features_NG)} schedules but {len(score_N)} objectives")
        every = -(-len(score_N) // N_MAX)
        self._features_NG, self._score_N = features_NG[::every], score_N[::every]
        distance_NN = cdist(self._features_NG, self._features_NG)
        fits = (_fit(distance_NN, self._score_N, ell, share) for ell in LENGTHSCALES for share in NOISE_SHARES)
        self._best = max(fits, key=lambda fit: fit.log_likelihood)

    @property
    def lengthscale(self) -> float:
        """The lengthscale of highest likelihood."""
        return self._best.lengthscale

    @property
    def noise_share(self) -> float:
        """The noise share of highest likelihood."""
        return self._best.noise_share

    def posterior(self, keep_rate_MT: ArrayLike) -> tuple[Array, Array]:
        """Mean and variance of the noise-free score of each schedule: (M,), (M,)."""
        signal = 1 - self.noise_share
        distance_MN = cdist(segment_means(keep_rate_MT), self._features_NG)
        cross_MN = signal * matern52(distance_MN / self.lengthscale)
        explained_NM = solve_triangular(self._best.root, cross_MN.T, lower=True)
        return cross_MN @ self._best.coefficient, np.maximum(signal - (explained_NM**2).sum(axis=0), 0.0)


def matern52(distance: Array) -> Array:
    """The Matern-5/2 correlation at a distance in lengthscales."""
    r = np.sqrt(5.0) * distance
    return np.asarray((1 + r + r**2 / 3) * np.exp(-r))


def _fit(distance_NN: Array, score_N: Array, lengthscale: float, noise_share: float) -> _Fit:
    """The Gaussian process with these two parameters and total variance 1, and its log likelihood."""
    signal = 1 - noise_share
    covariance_NN = signal * matern52(distance_NN / lengthscale) + noise_share * np.eye(len(score_N))
    root_NN = cholesky(covariance_NN, lower=True)
    coefficient_N = cho_solve((root_NN, True), score_N)
    log_likelihood = -0.5 * score_N @ coefficient_N - np.log(np.diag(root_NN)).sum()
    return _Fit(float(log_likelihood), lengthscale, noise_share, root_NN, coefficient_N)


def recommend(keep_rates: Sequence[Sequence[float]], objectives: Sequence[float]) -> int:
    """Index of the evaluated schedule with the lowest posterior mean; the first of equals."""
    mean_N, _ = CurveSurrogate(keep_rates, objectives).posterior(keep_rates)
    return int(np.flatnonzero(mean_N <= mean_N.min() + TIE)[0])
