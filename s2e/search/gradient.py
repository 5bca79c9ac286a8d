"""Gradient descent on J(theta) = E_{x ~ p_theta}[f(x)]: theta <- theta - rho grad J, S2E eq. (8) with H = I.

Baseline and trust region are those of ``newton``, so that a comparison of the two isolates the Hessian. The gradient is
taken in theta itself, where a step's length means another distance between densities at every theta.

Shapes: K trials of the round, X coordinates of a point, D entries of theta.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2e.search.distributions import Array
from s2e.search.newton import STEP_SIZE, TRUST_REGION, centred
from s2e.search.relaxation import Relaxation, moved, ordered
from s2e.search.space import Space
from s2e.words import Observation, SearchState


class Gradient(Relaxation):
    """Draws each round from p_theta and moves theta against the gradient."""

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The state after one step."""
        x_KX, objective_K = ordered(self._space, observations, at_least=2)
        return moved(state, gradient_step(self._space, np.array(state.theta), x_KX, objective_K))


def gradient_step(space: Space, theta_D: Array, x_KX: Array, objective_K: Array) -> Array:
    """-rho grad J, cut to sqrt(step' F step) <= TRUST_REGION: (D,). Zero when all objectives are equal."""
    s_KD = space.score(theta_D, x_KX)
    step_D = -STEP_SIZE * np.einsum("k,kd->d", centred(objective_K), s_KD) / len(s_KD)  # eq. (7)
    length = float(np.sqrt(np.einsum("d,de,e->", step_D, space.fisher(theta_D), step_D)))
    return np.asarray(step_D * (TRUST_REGION / max(length, TRUST_REGION)))
