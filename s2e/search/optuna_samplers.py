"""Optuna's samplers as pure rules: ``tpe`` (multivariate, Bergstra et al. 2011) and ``gp`` (Matern, log EI).

A study holds hidden state (trials, generators), so none is kept: ``memory`` holds points and objectives, and a round's
study is built anew from it, in the unit cube of ``cube.py``. Ask k draws from a sampler seeded by (seed, round, k),
after the asks 0 .. k-1 of the round were made in the same study and left running: TPE then avoids them by a constant
liar, ``gp`` by q-EI. So ask(state, k) is ask(state, 0), ..., ask(state, k) replayed; the round asked last is
remembered, which makes a round cost K asks instead of K^2 / 2 and changes no point.

Both begin with Optuna's ten random points.

Shapes: K trials of the round, N trials of the history, X coordinates of a point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from s2e.search.cube import from_cube, to_cube
from s2e.search.distributions import Array
from s2e.search.optional import optional
from s2e.search.relaxation import Relaxation, ordered, scaled
from s2e.search.space import Space
from s2e.words import Observation, Point, SearchState

N_HISTORY = 500
"""Trials remembered; of more, the N_BEST best and the newest."""
N_BEST = 25
"""TPE's density of good points never has more than these."""


class OptunaSearch(Relaxation):
    """Asks where a sampler of Optuna asks; theta stays uniform."""

    searcher: ClassVar[str]
    sampler: ClassVar[str]
    """Name in ``optuna.samplers``."""
    packages: ClassVar[tuple[str, ...]] = ("optuna",)

    def __init__(self, space: Space, seed: int, n_epochs: int) -> None:
        super().__init__(space, seed, n_epochs)
        self._names = [f"u{i:03d}" for i in range(space.n_x)]
        self._asked: tuple[SearchState, Any, list[Point]] | None = None

    def init(self) -> SearchState:
        """Round 0. Raises SearchError, before any training, where a package is missing."""
        for package in self.packages:
            optional(package, self.searcher)
        return super().init()

    def ask(self, state: SearchState, k: int) -> Point:
        """The k-th ask of the round's study."""
        if self._asked is None or self._asked[0] != state:
            self._asked = (state, self._study(state), [])
        _, study, points = self._asked
        while len(points) <= k:
            points.append(self._next(study, state.round, len(points)))
        return points[k]

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The history with this round in it. A failed trial counts as the worst known objective."""
        x_KX, objective_K = ordered(self._space, observations, at_least=1)
        x_NX = np.concatenate([np.reshape(state.memory.get("points", []), (-1, self._space.n_x)), x_KX])
        objective_N = np.concatenate([state.memory.get("objectives", []), objective_K])
        failed_K = np.array([o.failed for o in sorted(observations, key=lambda o: o.k)])
        objective_N[len(objective_N) - len(failed_K) :][failed_K] = objective_N.max()
        kept = kept_of(objective_N)
        memory = {"points": x_NX[kept].tolist(), "objectives": objective_N[kept].tolist()}
        return SearchState(state.round + 1, state.theta, memory)

    def _study(self, state: SearchState) -> Any:
        """A study in memory with the history as its finished trials."""
        optuna = optional("optuna", self.searcher)
        with _quiet(optuna):
            study = optuna.create_study(direction="minimize")
        if state.memory:
            u_NX = to_cube(self._space, np.array(state.memory["points"]))
            value_N = scaled(np.array(state.memory["objectives"]))
            study.add_trials([self._trial(optuna, u_X, value) for u_X, value in zip(u_NX, value_N, strict=True)])
        return study

    def _trial(self, optuna: Any, u_X: Array, value: float) -> Any:
        params = dict(zip(self._names, u_X.tolist(), strict=True))
        return optuna.create_trial(params=params, distributions=self._distributions(optuna), value=float(value))

    def _next(self, study: Any, round_: int, k: int) -> Point:
        """One more ask of a study; the trial stays under way in it."""
        optuna = optional("optuna", self.searcher)
        seed = int(np.random.default_rng([self._seed, round_, k]).integers(2**32))
        study.sampler = getattr(optuna.samplers, self.sampler)(seed=seed)
        trial = study.ask(fixed_distributions=self._distributions(optuna))
        u_X = np.array([trial.params[name] for name in self._names])
        return self._space.point(from_cube(self._space, u_X[None])[0])

    def _distributions(self, optuna: Any) -> dict[str, Any]:
        return dict.fromkeys(self._names, optuna.distributions.FloatDistribution(0.0, 1.0))


class TPE(OptunaSearch):
    """The tree-structured Parzen estimator over all coordinates at once."""

    searcher, sampler = "tpe", "TPESampler"


class GP(OptunaSearch):
    """A Gaussian process over the coordinates (not over the curve, as ``model_newton`` has it)."""

    searcher, sampler = "gp", "GPSampler"
    packages = ("optuna", "torch")


def kept_of(objective_N: Array) -> NDArray[np.int64]:
    """Indices of the trials to remember, in order: all up to N_HISTORY, then the N_BEST best and the newest."""
    n = len(objective_N)
    if n <= N_HISTORY:
        return np.arange(n)
    best = np.argsort(objective_N, kind="stable")[:N_BEST]
    rest = np.setdiff1d(np.arange(n), best)
    return np.asarray(np.sort(np.concatenate([best, rest[-(N_HISTORY - N_BEST) :]])))


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Without Optuna's line about a new study; its verbosity is the user's again afterwards."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
