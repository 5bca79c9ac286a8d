"""Stochastic relaxation: the common part of all rules that draw their points from p_theta (S2E section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2e.search.base import FullTrainings
from s2e.search.distributions import Array
from s2e.search.space import THETA_MAX, THETA_MIN, Space
from s2e.words import Observation, Point, SearchError, SearchState


class Relaxation(FullTrainings):
    """``init`` and ``ask`` of the searcher's contract: theta starts uniform, points are drawn from p_theta."""

    def __init__(self, space: Space, seed: int, n_epochs: int) -> None:  # noqa: ARG002 (the contract offers it)
        self._space, self._seed = space, seed

    def init(self) -> SearchState:
        """Round 0 with a uniform density."""
        return SearchState(0, tuple(self._space.initial_theta().tolist()), {})

    def ask(self, state: SearchState, k: int) -> Point:
        """The k-th draw from p_theta in this round."""
        rng = np.random.default_rng([self._seed, state.round, k])
        return self._space.point(self._space.sample(state.theta, rng, 1)[0])


def ordered(space: Space, observations: Sequence[Observation], *, at_least: int) -> tuple[Array, Array]:
    """Points (K, X) and objectives (K,) of a whole round, ordered by k.

    Raises SearchError for fewer than ``at_least`` observations, one k told twice, a point of another space, or an
    objective that is not a finite number.
    """
    told = sorted(observations, key=lambda observation: observation.k)
    if len(told) < at_least:
        raise SearchError(f"this rule needs at least {at_least} observations a round, found {len(told)}")
    if len({observation.k for observation in told}) < len(told):
        raise SearchError(f"one k was told twice: {[observation.k for observation in told]}")
    for observation in told:
        if not np.isfinite(observation.objective):
            raise SearchError(f"the objective of trial k = {observation.k} is {observation.objective}, not finite")
    x_KX = space.vectors([observation.point for observation in told])
    return x_KX, np.array([observation.objective for observation in told], dtype=np.float64)


def scaled(objective_K: Array) -> Array:
    """Objectives divided by the largest magnitude: H^-1 g does not depend on it, and huge values cannot overflow."""
    largest = np.abs(objective_K).max()
    return objective_K / largest if largest > 0 else objective_K


def moved(state: SearchState, step_D: Array) -> SearchState:
    """The next round's state: theta + step, kept in [THETA_MIN, THETA_MAX]."""
    theta_D = np.clip(np.array(state.theta) + step_D, THETA_MIN, THETA_MAX)
    return SearchState(state.round + 1, tuple(theta_D.tolist()), {})
