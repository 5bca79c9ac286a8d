"""CMA-ES (Hansen 2016) through the ``cmaes`` package: a normal density over the unit cube of ``cube.py``.

An optimiser of that package holds a generator and loses it when it is copied, so none is kept: ``memory`` holds the six
quantities that CMA-ES carries from one generation to the next (mean, step size sigma, covariance, both evolution paths,
the generation), and an optimiser is built anew from them for each ask and each tell. One round is one generation of as
many solutions as the round has trials.

Shapes: K trials of the round, X coordinates of a point and of the cube.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from s2e.search.cube import from_cube, to_cube
from s2e.search.distributions import Array
from s2e.search.optional import optional
from s2e.search.relaxation import Relaxation, ordered
from s2e.words import Observation, Point, SearchState

SIGMA = 1 / 6
"""First step size, of the cube's side (Optuna's default)."""
SIGMA_MIN = 1e-3
"""Smallest step size: training does not tell schedules apart that lie closer, and C would lose its meaning."""
MIN_TRIALS = 4
"""With fewer, one solution alone is selected, and the covariance has no rank-mu update."""


class CmaEs(Relaxation):
    """Draws each round from the normal density and adapts it to the round's ranking; theta stays uniform."""

    def init(self) -> SearchState:
        """Round 0. Raises SearchError, before any training, where the package is missing."""
        optional("cmaes", "cmaes")
        return super().init()

    def ask(self, state: SearchState, k: int) -> Point:
        """The k-th solution of the generation, drawn again while it lies outside of the cube."""
        return self._point(self._place(state, k))

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The next generation. Equal objectives rank nothing: the density stays as it is."""
        x_KX, objective_K = ordered(self._space, observations, at_least=MIN_TRIALS)
        if objective_K.min() == objective_K.max():
            return SearchState(state.round + 1, state.theta, state.memory)
        optimizer = self._optimizer(state.memory, len(x_KX))
        told = sorted(observations, key=lambda observation: observation.k)
        solutions = [self._place_of(state, o.k, o.point) for o in told]
        optimizer.tell(list(zip(solutions, objective_K.tolist(), strict=True)))
        return SearchState(state.round + 1, state.theta, _dumped(optimizer))

    def _place(self, state: SearchState, k: int) -> Array:
        """The place of ask(state, k) in the cube: (X,)."""
        seed = int(np.random.default_rng([self._seed, state.round, k]).integers(2**32))
        return np.asarray(self._optimizer(state.memory, MIN_TRIALS, seed).ask())

    def _place_of(self, state: SearchState, k: int, point: Point) -> Array:
        """The place of a told point in the cube: where it was asked, or else a place that maps to the point: (X,)."""
        asked_X = self._place(state, k)
        if self._point(asked_X) == point:
            return asked_X
        return np.asarray(to_cube(self._space, self._space.vectors([point]))[0])

    def _point(self, u_X: Array) -> Point:
        return self._space.point(from_cube(self._space, u_X[None])[0])

    def _optimizer(self, memory: dict[str, Any], population_size: int, seed: int = 0) -> Any:
        """The package's optimiser in the state that ``memory`` says."""
        n_x = self._space.n_x
        optimizer = optional("cmaes", "cmaes").CMA(
            mean=np.array(memory.get("mean", [0.5] * n_x)),
            sigma=memory.get("sigma", SIGMA),
            cov=np.array(memory["covariance"]) if memory else np.eye(n_x),
            bounds=np.tile([0.0, 1.0], (n_x, 1)),
            population_size=population_size,
            seed=seed,
        )
        if memory:  # the package offers no public way to set these three
            optimizer._p_sigma = np.array(memory["path_sigma"])
            optimizer._pc = np.array(memory["path_covariance"])
            optimizer._g = memory["generation"]
        return optimizer


def _dumped(optimizer: Any) -> dict[str, Any]:
    """The quantities CMA-ES carries to the next generation, as plain JSON."""
    return {
        "mean": np.clip(optimizer.mean, 0.0, 1.0).tolist(),
        "sigma": float(max(optimizer._sigma, SIGMA_MIN)),
        "covariance": optimizer._C.tolist(),
        "path_sigma": optimizer._p_sigma.tolist(),
        "path_covariance": optimizer._pc.tolist(),
        "generation": optimizer.generation,
    }
