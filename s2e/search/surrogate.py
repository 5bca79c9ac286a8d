"""A Gaussian process over the schedule curve R(t): which of the schedules tried is really the best?

The objective depends on a point only through its curve, and a curve is eight segment means for all practical purposes
(three principal components carry 99.9 % of its variance). One training is noisy, so the best objective observed is a
winner's curse; the lowest posterior mean is not.

Shapes: N trials, M schedules asked about, T epochs, E epochs looked at, G segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, product, starmap
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.spatial.distance import cdist

from s2e.search.distributions import Array
from s2e.words import SearchError

CUTS = (0.0, 0.03, 0.1, 0.2, 0.33, 0.5, 0.67, 0.84, 1.0)
"""Segment borders as fractions of T, finer early, where schedules fall."""
LENGTHSCALES = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Of the Euclidean distance between segment means; two opposite schedules are sqrt(8) apart."""
NOISE_SHARES = (0.01, 0.05, 0.2, 0.5, 0.8)
"""Fraction of the objective's variance that the seed of a training explains, not its schedule."""
RELATEDNESS = (0.0, 0.5, 0.9)
"""Correlation between the same schedule's score here and in an earlier search; at 0 the earlier one is forgotten."""
ROUND_SHARES = (0.0, 0.1, 0.3)
"""Fraction of the noise that the trials of a round have in common: they share the data order. Measured on 45 % pair
noise: a standard deviation of 1.4 points beside 4.3, a tenth of the variance."""
NO_ROUND = -1
"""The round of a score that shares its noise with no other."""
OFFSET = 1.0
"""Variance of the unknown difference between the mean scores of this search and an earlier one: each was standardised
by itself, and a search that starts warm sees good schedules only."""
N_MAX = 240
"""Scores of one fit, because its cost grows with the cube: of more trials, neighbours are averaged."""
EPOCHS_PER_SEGMENT = 4
"""Epochs that :func:`segment_epochs` keeps of a segment; R is smooth: four give its mean to 0.01 (the first: 0.03)."""
JITTER = 1e-6
"""Added to the diagonal of a posterior covariance: schedules asked about may be equal, which makes it singular."""
TIE = 1e-9
"""Posterior means closer than this are equal: repeated schedules differ by rounding only."""


class Hyperparameters(NamedTuple):
    """The parameters that a fit chooses by maximum likelihood."""

    lengthscale: float
    noise_share: float
    relatedness: float = 0.0
    round_share: float = 0.0


class _Fit(NamedTuple):
    log_likelihood: float
    chosen: Hyperparameters
    root: Array
    """Lower Cholesky factor of the covariance of the observed scores: (N, N)."""
    coefficient: Array
    """Covariance^-1 score: (N,)."""


def segment_means(keep_rate_NT: ArrayLike) -> Array:
    """Means of R between the CUTS of T, empty segments of a short training left out: (N, G)."""
    curves = np.asarray(keep_rate_NT, dtype=np.float64)
    if curves.ndim != 2 or curves.size == 0:
        raise SearchError(f"schedules of one length are needed, found an array of shape {curves.shape}")
    edges = _edges(curves.shape[1])
    return np.asarray(np.add.reduceat(curves, edges[:-1], axis=1) / np.diff(edges))


def segment_epochs(n_epochs: int) -> tuple[Array, NDArray[np.int64]]:
    """Epochs (E,) that stand for all T, at most EPOCHS_PER_SEGMENT in a segment, and where each segment starts: (G,).

    ``np.add.reduceat`` over the starts gives segment means at a cost that does not grow with T.
    """
    edges = _edges(n_epochs)
    length_G = np.diff(edges)
    kept_G = np.minimum(length_G, EPOCHS_PER_SEGMENT)
    middles = [
        first + np.floor((np.arange(kept) + 0.5) * length / kept)
        for first, length, kept in zip(edges[:-1], length_G, kept_G, strict=True)
    ]
    return np.concatenate(middles), np.asarray(np.cumsum(kept_G) - kept_G)


def _edges(n_epochs: int) -> NDArray[np.int64]:
    """First epoch of each segment that is not empty, then T."""
    return np.unique(np.rint(np.array(CUTS) * n_epochs).astype(np.int64))


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


class Surrogate:
    """Matern-5/2 on features, its parameters by maximum likelihood on a grid unless given. Deterministic.

    ``noise_N`` is the noise variance of each score in units of one ordinary training's (1/n for the mean of n of them);
    ``earlier_N`` marks scores of an earlier search, which count only as far as its objective is related to this one's.
    ``round_N`` numbers the rounds of the scores, whose trials have ``round_share`` of the noise in common: an intercept
    of each round, normal and integrated out.
    Scores, means and variances are in the units of :func:`standardised`.
    """

    def __init__(
        self,
        features_NG: Array,
        score_N: Array,
        hyperparameters: Hyperparameters | None = None,
        *,
        noise_N: Array | None = None,
        earlier_N: NDArray[np.bool_] | None = None,
        round_N: NDArray[np.int64] | None = None,
    ) -> None:
        n = len(score_N)
        if len(features_NG) != n:
            raise SearchError(f"{len(features_NG)} schedules but {n} objectives")
        self._features_NG, self._score_N = features_NG, score_N
        self._noise_N = np.ones(n) if noise_N is None else noise_N
        self._earlier_N = np.zeros(n, dtype=bool) if earlier_N is None else earlier_N
        self._offset = OFFSET if self._earlier_N.any() else 0.0
        self._round_N = np.full(n, NO_ROUND) if round_N is None else round_N
        grid = [hyperparameters] if hyperparameters else _grid(bool(self._earlier_N.any()), _has_rounds(self._round_N))
        self._best = max(self._fits(grid), key=lambda fit: fit.log_likelihood)

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Those of highest likelihood, to fit the same process again without the grid."""
        return self._best.chosen

    @property
    def lengthscale(self) -> float:
        """The lengthscale of highest likelihood."""
        return self._best.chosen.lengthscale

    @property
    def noise_share(self) -> float:
        """The noise share of highest likelihood."""
        return self._best.chosen.noise_share

    def mean(self, features_MG: Array) -> Array:
        """Posterior mean of the noise-free score: (M,)."""
        return np.asarray(self._cross(features_MG) @ self._best.coefficient)

    def posterior(self, features_MG: Array) -> tuple[Array, Array]:
        """Posterior mean and covariance of the noise-free scores: (M,), (M, M)."""
        cross_MN = self._cross(features_MG)
        explained_NM = solve_triangular(self._best.root, cross_MN.T, lower=True)
        correlation_MM = matern52(cdist(features_MG, features_MG) / self.lengthscale)
        covariance_MM = (1 - self.noise_share) * correlation_MM + self._offset - explained_NM.T @ explained_NM
        return np.asarray(cross_MN @ self._best.coefficient), covariance_MM

    def draw(self, features_MG: Array, rng: np.random.Generator) -> Array:
        """One joint draw of the noise-free scores from the posterior, for Thompson sampling: (M,)."""
        mean_M, covariance_MM = self.posterior(features_MG)
        covariance_MM[np.diag_indices_from(covariance_MM)] += JITTER
        normal_M = rng.standard_normal(len(features_MG))
        return np.asarray(mean_M + cholesky(covariance_MM, lower=True) @ normal_M)

    def expecting(self, features_PG: Array) -> Surrogate:
        """This process with trials in flight: as if each had ended with its posterior mean, so no longer uncertain."""
        return Surrogate(
            np.concatenate([self._features_NG, features_PG]),
            np.concatenate([self._score_N, self.mean(features_PG)]),
            self.hyperparameters,
            noise_N=np.concatenate([self._noise_N, np.ones(len(features_PG))]),
            earlier_N=np.concatenate([self._earlier_N, np.zeros(len(features_PG), dtype=bool)]),
            round_N=np.concatenate([self._round_N, np.full(len(features_PG), NO_ROUND)]),
        )

    def _cross(self, features_MG: Array) -> Array:
        """Covariance of noise-free scores of this search with those observed: (M, N)."""
        related_N = np.where(self._earlier_N, self._best.chosen.relatedness, 1.0)
        correlation_MN = matern52(cdist(features_MG, self._features_NG) / self.lengthscale)
        return np.asarray((1 - self.noise_share) * related_N * correlation_MN + self._offset * ~self._earlier_N)

    def _fits(self, grid: Sequence[Hyperparameters]) -> Iterator[_Fit]:
        """The process under each of the parameters; the correlation is computed once for each lengthscale."""
        distance_NN = cdist(self._features_NG, self._features_NG)
        across_NN = self._earlier_N[:, None] != self._earlier_N[None, :]
        own_NN = self._offset * np.outer(~self._earlier_N, ~self._earlier_N)
        in_round_N = self._round_N != NO_ROUND
        same_round_NN = (self._round_N[:, None] == self._round_N[None, :]) & in_round_N[:, None]
        for lengthscale, group in groupby(grid, key=lambda chosen: chosen.lengthscale):
            correlation_NN = matern52(distance_NN / lengthscale)
            for chosen in group:
                related_NN = np.where(across_NN, chosen.relatedness, 1.0) * correlation_NN
                covariance_NN = (1 - chosen.noise_share) * related_NN + own_NN
                alone_N = np.where(in_round_N, 1 - chosen.round_share, 1.0) * self._noise_N
                noise_NN = chosen.noise_share * (np.diag(alone_N) + chosen.round_share * same_round_NN)
                yield _fit(covariance_NN + noise_NN, self._score_N, chosen)


class CurveSurrogate(Surrogate):
    """The surrogate on the segment means of whole curves and ``extra_NF``, features of whatever else differs from trial
    to trial; of a long history, neighbours are averaged down to N_MAX, those of several rounds to one of none."""

    def __init__(
        self,
        keep_rate_NT: ArrayLike,
        objective_N: ArrayLike,
        extra_NF: ArrayLike | None = None,
        round_N: Sequence[int] | None = None,
    ) -> None:
        features_NG, score_N = _with_extra(keep_rate_NT, extra_NF), standardised(objective_N)
        if len(features_NG) != len(score_N):
            raise SearchError(f"{len(features_NG)} schedules but {len(score_N)} objectives")
        owner_N = neighbours(features_NG, N_MAX)
        count_M = np.bincount(owner_N)
        super().__init__(
            averaged(features_NG, owner_N),
            averaged(score_N, owner_N),
            noise_N=1 / count_M,
            round_N=None if round_N is None else common_round(np.asarray(round_N), owner_N),
        )

    def posterior_mean(self, keep_rate_MT: ArrayLike, extra_MF: ArrayLike | None = None) -> Array:
        """Mean of the noise-free score of each schedule: (M,)."""
        return self.mean(_with_extra(keep_rate_MT, extra_MF))


def _with_extra(keep_rate_NT: ArrayLike, extra_NF: ArrayLike | None) -> Array:
    """Segment means and then the extra features: (N, G + F)."""
    means_NG = segment_means(keep_rate_NT)
    return means_NG if extra_NF is None else np.concatenate([means_NG, np.asarray(extra_NF, dtype=np.float64)], axis=1)


def matern52(distance: Array) -> Array:
    """The Matern-5/2 correlation at a distance in lengthscales."""
    r = np.sqrt(5.0) * distance
    return np.asarray((1 + r + r**2 / 3) * np.exp(-r))


def neighbours(features_NG: Array, n_max: int) -> NDArray[np.int64]:
    """The group of neighbours, of at most ``n_max``, that each trial belongs to: (N,), numbered from 0.

    Every group has one of ``n_max`` trials spread evenly over the history, so groups are small where the search was.
    """
    n = len(features_NG)
    if n <= n_max:
        return np.arange(n)
    centre_M = np.rint(np.linspace(0, n - 1, n_max)).astype(np.int64)
    nearest_N = cdist(features_NG, features_NG[centre_M], "sqeuclidean").argmin(axis=1)
    return np.asarray(np.unique(nearest_N, return_inverse=True)[1])


def averaged(value_N: Array, owner_N: NDArray[np.int64], weight_N: Array | None = None) -> Array:
    """The (weighted) mean of each group of :func:`neighbours`; numbers (N,) or rows (N, G)."""
    weight = np.ones(len(owner_N)) if weight_N is None else weight_N
    if value_N.ndim == 2:
        return np.stack([averaged(column_N, owner_N, weight) for column_N in value_N.T], axis=1)
    return np.asarray(np.bincount(owner_N, weight * value_N) / np.bincount(owner_N, weight))


def common_round(round_N: NDArray[np.int64], owner_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """The round of each group of :func:`neighbours`; NO_ROUND where its members are of several."""
    first_M, last_M = (np.full(owner_N.max() + 1, fill) for fill in (np.iinfo(np.int64).max, np.iinfo(np.int64).min))
    np.minimum.at(first_M, owner_N, round_N)
    np.maximum.at(last_M, owner_N, round_N)
    return np.where(first_M == last_M, first_M, NO_ROUND)


def _has_rounds(round_N: NDArray[np.int64]) -> bool:
    """True if an intercept of the rounds can be told from mean and noise: two rounds, one of two trials."""
    count = np.unique(round_N[round_N != NO_ROUND], return_counts=True)[1]
    return len(count) > 1 and int(count.max()) > 1


def _grid(with_earlier: bool, with_rounds: bool) -> list[Hyperparameters]:
    """All parameters tried, lengthscale by lengthscale."""
    relatedness = RELATEDNESS if with_earlier else (0.0,)
    round_shares = ROUND_SHARES if with_rounds else (0.0,)
    return list(starmap(Hyperparameters, product(LENGTHSCALES, NOISE_SHARES, relatedness, round_shares)))


def _fit(covariance_NN: Array, score_N: Array, chosen: Hyperparameters) -> _Fit:
    """The Gaussian process with this covariance of observed scores, and its log likelihood."""
    root_NN = cholesky(covariance_NN, lower=True)
    coefficient_N = cho_solve((root_NN, True), score_N)
    log_likelihood = -0.5 * score_N @ coefficient_N - np.log(np.diag(root_NN)).sum()
    return _Fit(float(log_likelihood), chosen, root_NN, coefficient_N)


def recommend(
    keep_rates: Sequence[Sequence[float]],
    objectives: Sequence[float],
    extra_NF: ArrayLike | None = None,
    rounds: Sequence[int] | None = None,
) -> int:
    """Index of the evaluated schedule with the lowest posterior mean; the first of equals."""
    return lowest(CurveSurrogate(keep_rates, objectives, extra_NF, rounds).posterior_mean(keep_rates, extra_NF))


def lowest(mean_N: Array) -> int:
    """Index of the lowest posterior mean; the first of those that differ by rounding only."""
    return int(np.flatnonzero(mean_N <= mean_N.min() + TIE)[0])
