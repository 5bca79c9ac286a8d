"""ASNG (Akimoto et al. 2019), a natural gradient whose step length adapts itself, on Dirichlet and Beta blocks.

The paper's rule is for categorical variables; here the natural gradient of a sample is F^-1 s(x) and F^(1/2) is L'
with F = L L'. The K trials of a round are ranked: the best ceil(K/4) get the utility +1 / ceil(K/4), as many of the
worst the negative of it, ties share. With g the mean of utility x F^-1 s and ||g||_F = sqrt(g' F g), to first order a
distance:

    theta <- theta + delta g / ||g||_F
    beta = delta / sqrt(D),   s <- (1 - beta) s + sqrt(beta (2 - beta)) L' g / ||g||_F
    gamma <- (1 - beta)^2 gamma + beta (2 - beta)
    Delta <- Delta exp(beta (gamma - ||s||^2 / 1.5)),   delta = 1 / Delta

so delta grows while successive gradients agree, and shrinks while they do not. Kept in [DELTA_MIN, TRUST_REGION]: the
paper bounds it on one side only.

Weights are shared as in S2E's appendix B.2: one training of T epochs is carried through the whole search. A round is a
stretch of its epochs; the K trials of a round all continue the networks of the round before, each under its own
schedule, and the networks of the best one go on. (The paper carries one pair through all samples in turn; taking the
best is ours.) So a search of any length costs K trainings, and what it ends with is the path R(t) that was trained: the
stretches of the winners, spliced. Objectives of different rounds are of different epochs and are never compared.

Shapes: K trials of the round, X coordinates of a point, D entries of theta.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from s2e.search.distributions import Array
from s2e.search.newton import TRUST_REGION
from s2e.search.relaxation import Relaxation, moved, ordered
from s2e.search.space import Space
from s2e.words import Fidelity, Observation, SearchState, replace

DELTA = 1.0
"""First step length."""
DELTA_MIN = 1e-3
ALPHA = 1.5
"""||s||^2 / gamma above which a signal counts as one (its mean is 1 for random directions)."""


N_STRETCHES = 20
"""Rounds that one training is cut into, where it has as many epochs."""


class Asng(Relaxation):
    """Draws each round from p_theta and moves theta by a step of adapted length.

    ``memory["shared"]``: (round, k) of the trial whose networks go on, and the epochs they have done.
    """

    def __init__(self, space: Space, seed: int, n_epochs: int) -> None:
        super().__init__(space, seed, n_epochs)
        self._n_epochs = n_epochs
        self._stretch = -(-n_epochs // N_STRETCHES)

    def plan(self, n_rounds: int, n_trials: int) -> tuple[int, ...]:  # noqa: ARG002 (T sets the number of rounds)
        """K trials in every stretch of the one training."""
        return (n_trials,) * -(-self._n_epochs // self._stretch)

    def fidelity(self, state: SearchState, k: int) -> Fidelity:  # noqa: ARG002 (alike for every trial)
        """The next stretch of epochs, on the shared networks."""
        shared = state.memory.get("shared")
        if shared is None:
            return Fidelity(min(self._stretch, self._n_epochs))
        done = shared["n_epochs"]
        return Fidelity(min(done + self._stretch, self._n_epochs), resume=tuple(shared["trial"]), resumed_epochs=done)

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The state after one step; a round that ranks nothing moves nothing."""
        x_KX, objective_K = ordered(self._space, observations, at_least=2)
        shared = self._shared(state, observations)
        theta_D = np.array(state.theta)
        whitener_DD = self._space.whitener(theta_D)  # L^-1
        z_KD = np.einsum("de,ke->kd", whitener_DD, self._space.score(theta_D, x_KX))
        way_D = np.einsum("k,kd->d", utilities(objective_K), z_KD)  # L' g, but for a factor
        length = float(np.linalg.norm(way_D))
        if length == 0:
            return replace(state, round=state.round + 1, memory={**state.memory, "shared": shared})
        delta = state.memory.get("delta", DELTA)
        after = moved(state, whitener_DD.T @ (delta * way_D / length))
        return replace(after, memory={**adapted(state.memory, way_D / length), "shared": shared})

    def _shared(self, state: SearchState, observations: Sequence[Observation]) -> dict[str, Any] | None:
        """The trial whose networks go on: the best one; that of the round before if all failed; none after epoch T."""
        ranked = sorted((o for o in observations if not o.failed), key=lambda o: (o.objective, o.k))
        if not ranked:
            kept: dict[str, Any] | None = state.memory.get("shared")
            return kept
        done = self.fidelity(state, 0).epochs_of(self._n_epochs)
        return None if done == self._n_epochs else {"trial": [state.round, ranked[0].k], "n_epochs": done}


def utilities(objective_K: Array) -> Array:
    """+1 / mu for the mu = ceil(K/4) lowest objectives, -1 / mu for the mu highest, 0 between; ties share: (K,)."""
    n_trials = len(objective_K)
    mu = -(-n_trials // 4)
    by_rank_K = np.zeros(n_trials)
    by_rank_K[:mu] += 1 / mu
    by_rank_K[n_trials - mu :] -= 1 / mu
    sorted_K = np.sort(objective_K)
    return np.array([by_rank_K[sorted_K == f].mean() for f in objective_K])


def adapted(memory: dict[str, Any], direction_D: Array) -> dict[str, Any]:
    """delta, s and gamma after a step in a whitened direction of length 1."""
    delta, gamma = memory.get("delta", DELTA), memory.get("gamma", 0.0)
    beta = min(1.0, delta / np.sqrt(len(direction_D)))
    s_D = (1 - beta) * np.array(memory.get("s", [0.0] * len(direction_D)))
    s_D += np.sqrt(beta * (2 - beta)) * direction_D
    gamma = (1 - beta) ** 2 * gamma + beta * (2 - beta)
    delta = delta / np.exp(beta * (gamma - s_D @ s_D / ALPHA))
    return {"delta": float(np.clip(delta, DELTA_MIN, TRUST_REGION)), "gamma": float(gamma), "s": s_D.tolist()}
