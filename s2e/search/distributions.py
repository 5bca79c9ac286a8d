"""Dirichlet and Beta densities in closed form, one block of a space at a time.

Both are one exponential family: a Beta(p, q) of b is the Dirichlet(p, q) of (b, 1 - b). So a block only says how its
coordinates x become log-statistics, and everything else is written once over (theta, log-statistics):

    log p(x) = lnGamma(theta_0) - sum lnGamma(theta_i) + sum (theta_i - 1) ln x_i        theta_0 = sum theta_i
    score_i  = ln x_i - psi(theta_i) + psi(theta_0)
    Hessian  = -F for every x,   F = diag(psi1(theta_i)) - psi1(theta_0) 1 1'

Shapes: D entries of a block's theta, X coordinates of a block, S samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, polygamma

Array = NDArray[np.float64]

X_MIN = 1e-6
"""Coordinates are kept in [X_MIN, 1 - X_MIN] (a simplex is then renormalised), so that every logarithm is finite."""


class Block(Protocol):
    """A named part of x with a density of its own."""

    @property
    def name(self) -> str: ...
    @property
    def n_theta(self) -> int: ...
    @property
    def n_x(self) -> int: ...

    def sample(self, theta_D: Array, rng: np.random.Generator, size: int) -> Array:
        """Draws from p_theta, clipped: (S, X)."""

    def log_stat(self, x_SX: Array) -> Array:
        """Logarithms of the (clipped) coordinates, one column for each entry of theta: (S, D)."""

    def mean(self, theta_D: Array) -> Array:
        """E[x] under p_theta: (X,)."""


@dataclass(frozen=True)
class Dirichlet:
    """Weights on the simplex."""

    name: str
    n_theta: int

    @property
    def n_x(self) -> int:
        return self.n_theta

    def sample(self, theta_D: Array, rng: np.random.Generator, size: int) -> Array:
        return _clip_simplex(rng.dirichlet(theta_D, size))

    def log_stat(self, x_SX: Array) -> Array:
        return np.log(_clip_simplex(x_SX))

    def mean(self, theta_D: Array) -> Array:
        return np.asarray(theta_D / theta_D.sum())


@dataclass(frozen=True)
class Beta:
    """One number in (0, 1); theta = (p, q)."""

    name: str
    n_theta: int = 2
    n_x: int = 1

    def sample(self, theta_D: Array, rng: np.random.Generator, size: int) -> Array:
        return _clip(rng.beta(theta_D[0], theta_D[1], (size, 1)))

    def log_stat(self, x_SX: Array) -> Array:
        b_S1 = _clip(x_SX)
        return np.concatenate([np.log(b_S1), np.log1p(-b_S1)], axis=1)

    def mean(self, theta_D: Array) -> Array:
        return np.asarray(theta_D[:1] / theta_D.sum())


def _clip(x_SX: Array) -> Array:
    return np.clip(x_SX, X_MIN, 1 - X_MIN)


def _clip_simplex(x_SX: Array) -> Array:
    clipped = _clip(x_SX)
    return np.asarray(clipped / clipped.sum(axis=1, keepdims=True))


def log_prob(theta_D: Array, log_stat_SD: Array) -> Array:
    """log p_theta(x) of each sample: (S,)."""
    return np.asarray(((theta_D - 1) * log_stat_SD).sum(axis=1) - _log_beta(theta_D))


def score(theta_D: Array, log_stat_SD: Array) -> Array:
    """s(x) = grad_theta log p_theta(x): (S, D)."""
    return np.asarray(log_stat_SD - _mean_log(theta_D))


def fisher(theta_D: Array) -> Array:
    """F(theta) = E[s s'] = -Hessian of log p_theta at any x: (D, D)."""
    return np.asarray(np.diag(polygamma(1, theta_D)) - polygamma(1, theta_D.sum()))


def fisher_inverse(theta_D: Array) -> Array:
    """F^-1 = A + c / (1 - c tr A) (A1)(A1)' with A = diag(1 / psi1(theta)), c = psi1(theta_0): (D, D)."""
    a = 1 / polygamma(1, theta_D)
    c = polygamma(1, theta_D.sum())
    return np.asarray(np.diag(a) + c / (1 - c * a.sum()) * np.outer(a, a))


def entropy(theta_D: Array) -> float:
    """Differential entropy -E[log p_theta(x)], in nats."""
    return float(_log_beta(theta_D) - ((theta_D - 1) * _mean_log(theta_D)).sum())


def kl(new_D: Array, old_D: Array) -> float:
    """KL(p_new || p_old), in nats."""
    return float(_log_beta(old_D) - _log_beta(new_D) + ((new_D - old_D) * _mean_log(new_D)).sum())


def with_shifted_mean_log(start_D: Array, shift_D: Array) -> Array:
    """The theta whose E[ln x_i] is that of ``start_D`` plus ``shift_D``; of all densities of the family it has the
    highest likelihood under samples with these mean logarithms: (D,).

    Newton's method in ln theta (so that theta stays positive) on psi(theta_i) - psi(theta_0), whose derivative is F.
    """
    theta_D, mean_log_D = start_D, _mean_log(start_D) + shift_D
    for _ in range(50):
        missing_D = mean_log_D - _mean_log(theta_D)
        if np.abs(missing_D).max() < 1e-12:
            break
        change_D = np.einsum("de,e->d", fisher_inverse(theta_D), missing_D)
        theta_D = theta_D * np.exp(np.clip(change_D / theta_D, -1.0, 1.0))
    return np.asarray(theta_D)


def _log_beta(theta_D: Array) -> Array:
    """Log of the normalising constant: sum lnGamma(theta_i) - lnGamma(theta_0)."""
    return np.asarray(gammaln(theta_D).sum() - gammaln(theta_D.sum()))


def _mean_log(theta_D: Array) -> Array:
    """E[ln x_i] = psi(theta_i) - psi(theta_0)."""
    return np.asarray(digamma(theta_D) - digamma(theta_D.sum()))
