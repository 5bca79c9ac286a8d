"""A search rule and a space: numpy, and pure functions of (seed, round, k) and the stored state.

Shapes: K trials of the round, X coordinates of a point, S points, T epochs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2e.schedule import R_MIN
from s2e.search.distributions import Array, Beta
from s2e.search.relaxation import Relaxation, ordered
from s2e.search.space import Space
from s2e.words import Observation, SearchState


class AroundBest(Relaxation):
    """theta of round m is a density with its mode at the best point so far, m x ``concentration`` strong.

    ``memory["best"]``: the best objective and its point.
    """

    def __init__(self, space: Space, seed: int, n_epochs: int, concentration: float) -> None:
        super().__init__(space, seed, n_epochs)
        self._concentration = concentration

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        x_KX, objective_K = ordered(self._space, observations, at_least=1)
        k = int(np.argmin(objective_K))
        best = min([float(objective_K[k]), x_KX[k].tolist()], state.memory.get("best", [np.inf, []]))
        strength = min(100.0, self._concentration * (state.round + 1))
        theta_D = self._space.around(np.array(best[1]), strength)
        return SearchState(state.round + 1, tuple(theta_D.tolist()), {"best": best})


def _ramp(x_SX: Array, t_T: Array, n_epochs: int) -> Array:
    """R(t) = 1 - tau min(1, t / (s T)): x = (tau, s)."""
    tau_S1, share_S1 = x_SX[:, :1], np.maximum(x_SX[:, 1:2], 1e-9)
    return np.clip(1 - tau_S1 * np.minimum(1, t_T / (share_S1 * n_epochs)), R_MIN, 1)


RAMP = Space((Beta("tau"), Beta("share")), _ramp)
