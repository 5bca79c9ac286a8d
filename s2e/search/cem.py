"""The cross-entropy method: p_theta moves towards the density of highest likelihood under the elite of a round.

In an exponential family that density has the elite's mean log-statistics. With K = 6 trials for 36 entries of theta the
whole way would be overfitting, so the mean statistics go only a fraction of it (smoothing), which is halved until the
new density lies in the trust region of ``newton``: KL(new || old) <= TRUST_REGION^2 / 2, a step's KL to second order.

Shapes: K trials of the round, X coordinates of a point, D entries of theta.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2e.search.distributions import Array
from s2e.search.newton import TRUST_REGION
from s2e.search.relaxation import Relaxation, moved, ordered
from s2e.search.space import THETA_MAX, THETA_MIN, Space
from s2e.words import Observation, SearchState

ELITE_SHARE = 0.5
"""Fraction of a round's trials that count as elite, rounded up."""
SMOOTHING = 0.7
"""Largest fraction of the way to the elite's mean statistics; at 1 a single elite point would have no finite fit."""
KL_MAX = TRUST_REGION**2 / 2


class CrossEntropy(Relaxation):
    """Draws each round from p_theta and refits it to the round's better half."""

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The state after one smoothed fit."""
        x_KX, objective_K = ordered(self._space, observations, at_least=2)
        theta_D = np.array(state.theta)
        return moved(state, refitted(self._space, theta_D, x_KX, objective_K) - theta_D)


def refitted(space: Space, theta_D: Array, x_KX: Array, objective_K: Array) -> Array:
    """theta after the fit: (D,). Unchanged when all objectives are equal, or no fraction lies in the trust region."""
    if objective_K.min() == objective_K.max():
        return theta_D
    n_elite = int(np.ceil(ELITE_SHARE * len(objective_K)))
    elite_NX = x_KX[np.argsort(objective_K, kind="stable")[:n_elite]]
    way_D = space.score(theta_D, elite_NX).mean(axis=0)  # the elite's mean statistics less those of p_theta
    for halvings in range(12):
        new_D = space.with_shifted_moments(theta_D, SMOOTHING / 2**halvings * way_D)
        new_D = np.clip(new_D, THETA_MIN, THETA_MAX)
        if space.kl(new_D, theta_D) <= KL_MAX:
            return np.asarray(new_D)
    return theta_D
