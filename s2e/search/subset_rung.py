"""A data-subset rung below a search rule: all epochs on a share of the samples first, full trainings for the best.

Under label noise early epochs mislead, so the rung cuts the samples and keeps the epochs. Rounds come in pairs: K trials
on DATA_SHARE of the samples, then full trainings of the third of them with the lowest objective. With K = 6 that is
(6 / 4 + 2) / 6 = 0.58 of the cost of six full trainings, and the same number of schedules is looked at.

The rule's history is fed with both: full results as they are, and those of the rung moved by the mean difference that
the pairs of both show. Differences within a rung's round are what the surrogate learns from, and a constant leaves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from s2e.errors import Problem, SearchError, SpecError
from s2e.fidelity import FULL, Fidelity
from s2e.search.model_newton import ModelNewton
from s2e.spec import Observation, Point, SearchState, replace

DATA_SHARE = 0.25
KEPT = 1 / 3
"""Of a rung's trials, those that are trained in full."""


class SubsetRung(ModelNewton):
    """``model_newton`` with a rung on a quarter of the samples."""

    def plan(self, n_rounds: int, n_trials: int) -> tuple[int, ...]:
        """M pairs of rounds: K trials of the rung, then those that stay. Raises SpecError for K < 2."""
        if n_trials < 2:
            raise SpecError(Problem("search.n_trials", n_trials, ">= 2 for a rung: one trial has nobody to beat"))
        return (n_trials, _n_kept(n_trials)) * n_rounds

    def ask(self, state: SearchState, k: int) -> Point:
        """A trial of the rung, drawn as ``model_newton`` draws it; or the k-th best of the rung before."""
        if not _in_rung(state):
            return self._space.point(np.array(state.memory["rung"]["points"][k]))
        return super().ask(_without_rung(state), k)

    def fidelity(self, state: SearchState, k: int) -> Fidelity:  # noqa: ARG002 (alike for every trial)
        return Fidelity(data_share=DATA_SHARE) if _in_rung(state) else FULL

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """After the rung: its trials, best first. After the full trainings: ``model_newton``'s step on all of them."""
        if _in_rung(state):
            return self._after_rung(state, observations)
        rung, memory = state.memory["rung"], _without_rung(state).memory
        full = sorted(observations, key=lambda o: o.k)
        _refuse_unequal(full, rung)
        shift = _shift(full, rung, memory.get("shift"))
        left = range(len(full), len(rung["points"]))
        moved = [
            Observation(
                k, self._space.point(np.array(rung["points"][k])), rung["objectives"][k] + shift, rung["failed"][k]
            )
            for k in left
        ]
        told = super().tell(replace(state, memory=memory), [replace(o, k=k) for k, o in enumerate([*full, *moved])])
        return replace(told, memory={**told.memory, "shift": shift})

    def _after_rung(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        if len({o.k for o in observations}) < len(observations) or not observations:
            raise SearchError("a rung needs every k once")
        for o in observations:
            if not np.isfinite(o.objective):
                raise SearchError(f"the objective of trial k = {o.k} is {o.objective}, not finite")
        best_first = sorted(observations, key=lambda o: (o.failed, o.objective, o.k))
        rung = {
            "points": [list(o.point.values) for o in best_first],
            "objectives": [o.objective for o in best_first],
            "failed": [o.failed for o in best_first],
        }
        return SearchState(state.round + 1, state.theta, {**state.memory, "rung": rung})


def _n_kept(n_trials: int) -> int:
    return max(1, round(KEPT * n_trials))


def _in_rung(state: SearchState) -> bool:
    return "rung" not in state.memory


def _without_rung(state: SearchState) -> SearchState:
    """The state ``model_newton`` knows: before its first history, an empty memory."""
    memory = {name: value for name, value in state.memory.items() if name != "rung"}
    return replace(state, memory=memory if "points" in memory else {})


def _refuse_unequal(full: Sequence[Observation], rung: dict[str, Any]) -> None:
    if [o.k for o in full] != list(range(len(full))) or not 0 < len(full) <= len(rung["points"]):
        raise SearchError(f"the full trainings of a rung of {len(rung['points'])} were expected, found {len(full)}")


def _shift(full: Sequence[Observation], rung: dict[str, Any], before: float | None) -> float:
    """Mean of full - rung over the trials that have both; the one before, or none, where all of them failed."""
    both = [o.objective - rung["objectives"][o.k] for o in full if not o.failed and not rung["failed"][o.k]]
    return float(np.mean(both)) if both else before or 0.0
