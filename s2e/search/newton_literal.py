"""S2E's eqs. (7), (8) and Prop. 1 as printed, but for the sign of (8). Kept for comparison with ``newton`` only.

Nothing is repaired: no baseline, no damping, no trust region. Two things had to be decided to run it at all: f is
minimised, so (8) subtracts; and theta is kept in [1, THETA_MAX] after every step (the paper gives no bounds, the
released program takes max(theta, 1)).

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
"""rho of eq. (8); the released program's value."""


class NewtonLiteral(Relaxation):
    """Draws each round from p_theta and moves theta by the undamped Newton step of the paper."""

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The state after eq. (8), theta kept in its bounds."""
        x_KX, objective_K = ordered(self._space, observations, at_least=2)
        return moved(state, literal_step(self._space, np.array(state.theta), x_KX, objective_K))


def literal_step(space: Space, theta_D: Array, x_KX: Array, objective_K: Array) -> Array:
    """-rho H^-1 grad J: (D,). A singular H is solved by least squares; all objectives 0 give no step."""
    gradient_D, hessian_DD = literal_derivatives(space, theta_D, x_KX, objective_K)
    return np.asarray(-STEP_SIZE * np.linalg.lstsq(hessian_DD, gradient_D, rcond=None)[0])  # eq. (8)


def literal_derivatives(space: Space, theta_D: Array, x_KX: Array, objective_K: Array) -> tuple[Array, Array]:
    """grad J and grad^2 J from one round, objectives divided by the largest: (D,), (D, D)."""
    f_K = scaled(objective_K)
    s_KD = space.score(theta_D, x_KX)
    gradient_D = np.einsum("k,kd->d", f_K, s_KD) / len(f_K)  # eq. (7)
    outer_DD = np.einsum("k,kd,ke->de", f_K, s_KD, s_KD) / len(f_K)
    return gradient_D, np.asarray(outer_DD - f_K.mean() * space.fisher(theta_D))  # Prop. 1, grad^2 log p = -F
