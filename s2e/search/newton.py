"""S2E's Newton step on J(theta) = E_{x ~ p_theta}[f(x)], repaired. Read this file first.

f is the objective (1 - validation accuracy), minimised. With the score s(x) = grad_theta log p_theta(x), estimated from
the K trials of a round:

    (7)       grad J   = E[f s]
    (Prop. 1) grad^2 J = E[f (s s' - F)]         because grad^2 log p = -F for every x (exponential families)
    (8)       theta <- theta - rho H^-1 grad J   printed with a plus, which is right only if f were maximised

As printed the step is almost pure noise at K = 6 and D = 36 (``newton_literal`` keeps it for comparison). Four repairs:

1. centred objective: E[s] = 0 and E[s s' - F] = 0, so f - mean(f) has the same expectation and far less variance;
2. Fisher-whitened coordinates, z = L^-1 s with F = L L', in which a step's length is its distance between densities;
3. |lambda| + damping instead of the eigenvalues of H, most of which are negative by construction when K < D;
4. a trust region on the whitened length sqrt(step' F step).

Shapes: K trials of the round, X coordinates of a point, D entries of theta.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2e.search.distributions import Array
from s2e.search.relaxation import Relaxation, moved, ordered, scaled
from s2e.search.space import Space
from s2e.words import Observation, SearchState

STEP_SIZE = 1.0
"""rho of eq. (8)."""
TRUST_REGION = 2.0
"""Longest step, as sqrt(step' F step)."""
DAMPING = 0.1
"""Added to every |lambda|, as a fraction of the largest."""
DAMPING_MIN = 1e-3
STD_MIN = 1e-8
"""Below this spread the objectives of a round count as equal."""


class Newton(Relaxation):
    """Draws each round from p_theta and moves theta by one repaired Newton step."""

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The state after eq. (8), repaired."""
        x_KX, objective_K = ordered(self._space, observations, at_least=2)
        return moved(state, newton_step(self._space, np.array(state.theta), x_KX, objective_K))


def newton_step(space: Space, theta_D: Array, x_KX: Array, objective_K: Array) -> Array:
    """The change of theta after one round: (D,). Zero when all objectives are equal."""
    weight_K = centred(objective_K)
    whitener_DD = space.whitener(theta_D)  # L^-1, with F = L L'
    z_KD = np.einsum("de,ke->kd", whitener_DD, space.score(theta_D, x_KX))
    gradient_D = np.einsum("k,kd->d", weight_K, z_KD) / len(z_KD)  # L^-1 grad J, eq. (7)
    step_D = -STEP_SIZE * _solve_damped(_hessian(weight_K, z_KD), gradient_D)  # eq. (8)
    return np.asarray(whitener_DD.T @ within_trust_region(step_D))


def within_trust_region(step_D: Array) -> Array:
    """A whitened step, cut to the trust region: its length is sqrt(step' F step). (D,)."""
    length = np.linalg.norm(step_D)
    return step_D * (TRUST_REGION / length) if length > TRUST_REGION else step_D


def centred(objective_K: Array) -> Array:
    """f - mean(f) in units of its standard deviation; equal objectives, all 1 when scaled, give exact zeros: (K,)."""
    f_K = scaled(objective_K)
    return np.asarray((f_K - f_K.mean()) / (f_K.std() + STD_MIN))


def _hessian(weight_K: Array, z_KD: Array) -> Array:
    """L^-1 H L^-T with H = mean of w (s s' - F), Prop. 1: whitened, F is the identity. (D, D).

    einsum, not a matrix product: BLAS may sum in another order on another number of threads, and theta must not change.
    """
    n_trials, n_theta = z_KD.shape
    outer_DD = np.einsum("k,kd,ke->de", weight_K, z_KD, z_KD) / n_trials
    return np.asarray(outer_DD - weight_K.mean() * np.eye(n_theta))


def _solve_damped(hessian_DD: Array, gradient_D: Array) -> Array:
    """V diag(1 / (|lambda| + damping)) V' g for H = V diag(lambda) V': a descent direction whatever the signs."""
    eigenvalue_D, vector_DD = np.linalg.eigh(hessian_DD)
    magnitude_D = np.abs(eigenvalue_D)
    magnitude_D += max(DAMPING * magnitude_D.max(), DAMPING_MIN)
    return np.asarray(vector_DD @ ((vector_DD.T @ gradient_D) / magnitude_D))
