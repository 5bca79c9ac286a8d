"""The natural gradient of J(theta) = E_{x ~ p_theta}[f(x)]: theta <- theta - rho F^-1 grad J.

Baseline, whitening and trust region are those of ``newton``, so that a comparison of the two isolates the Hessian. In
whitened coordinates F is the identity, so the natural gradient is the gradient itself.

Shapes: K trials of the round, X coordinates of a point, D entries of theta.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2e.search.distributions import Array
from s2e.search.newton import STEP_SIZE, centred, within_trust_region
from s2e.search.relaxation import Relaxation, moved, ordered
from s2e.search.space import Space
from s2e.words import Observation, SearchState


class NaturalGradient(Relaxation):
    """Draws each round from p_theta and moves theta along the natural gradient."""

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The state after one step."""
        x_KX, objective_K = ordered(self._space, observations, at_least=2)
        return moved(state, natural_gradient_step(self._space, np.array(state.theta), x_KX, objective_K))


def natural_gradient_step(space: Space, theta_D: Array, x_KX: Array, objective_K: Array) -> Array:
    """-rho F^-1 grad J, cut to the trust region: (D,). Zero when all objectives are equal."""
    whitener_DD = space.whitener(theta_D)  # L^-1, with F = L L'
    z_KD = np.einsum("de,ke->kd", whitener_DD, space.score(theta_D, x_KX))
    gradient_D = np.einsum("k,kd->d", centred(objective_K), z_KD) / len(z_KD)
    return np.asarray(whitener_DD.T @ within_trust_region(-STEP_SIZE * gradient_D))
