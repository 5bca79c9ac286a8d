"""The rule of the released S2E program (``heng_main.py``), as it runs, not as the paper describes it.

Kept for comparison only.

It differs from eqs. (7)-(8) and Prop. 1 (``newton_literal``) in four ways:

1. only the best trial's score s and s s' - F are used, divided by K; its objective never enters, the others only rank;
2. H^-1 g is an element-wise product of the inverse matrix with g as a column, of which the first column is taken:
   step_i = (H^-1)_i0 g_i;
3. H^-1 comes from a singular value decomposition with the singular values floored at 1e-5, which keeps H's negative
   eigenvalues and only avoids singularity;
4. theta <- max(theta, 1) after ``theta + step``. (Here it also keeps THETA_MAX, as every rule does.)

In the program's own space of twelve Betas, 97 % of the steps from theta = 1 lower the density of the best trial.

Shapes: K trials of the round, X coordinates of a point, D entries of theta.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2e.search.distributions import Array
from s2e.search.relaxation import Relaxation, moved, ordered
from s2e.search.space import Space
from s2e.words import Observation, SearchState

SINGULAR_MIN = 1e-5


class Official(Relaxation):
    """Draws each round from p_theta and moves theta as the released program does."""

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The state after one step from the best trial that succeeded; none where all failed."""
        x_KX, objective_K = ordered(self._space, observations, at_least=1)
        failed_K = np.array([o.failed for o in sorted(observations, key=lambda o: o.k)])
        if failed_K.all():
            return moved(state, np.zeros(len(state.theta)))
        best = int(np.flatnonzero(~failed_K)[np.argmin(objective_K[~failed_K])])
        return moved(state, official_step(self._space, np.array(state.theta), x_KX[best], len(x_KX)))


def official_step(space: Space, theta_D: Array, best_X: Array, n_trials: int) -> Array:
    """The change of theta by the program, for the best point of ``n_trials``: (D,)."""
    s_D = space.score(theta_D, best_X[None])[0]
    gradient_D = s_D / n_trials
    hessian_DD = (np.outer(s_D, s_D) - space.fisher(theta_D)) / n_trials
    u_DD, singular_D, vt_DD = np.linalg.svd(hessian_DD)
    inverse_DD = (vt_DD.T / np.maximum(singular_D, SINGULAR_MIN)) @ u_DD.T
    return np.asarray((inverse_DD * gradient_D[:, None])[:, 0])
