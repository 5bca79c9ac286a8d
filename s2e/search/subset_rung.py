"""``model_newton`` above a rung of little data: all epochs on a share of the samples first, in full only the best.

Under label noise early epochs mislead, so the rung cuts the samples and keeps the epochs. Rounds come in pairs: K
trials on DATA_SHARE of the samples, then full trainings of the third of them with the lowest objective. With K = 6 this
is (6 / 4 + 2) / 6 = 0.58 of the cost of full trainings, and as many schedules are looked at.

The surrogate learns from both: full results as they are, those of the rung moved by the mean difference that the trials
with both show. What it learns from are the differences within a round, and a constant leaves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from s2e.search.model_newton import ModelNewton
from s2e.search.relaxation import ordered
from s2e.words import FULL, Fidelity, Observation, Point, Problem, SearchState, SpecError, replace

DATA_SHARE = 0.25
KEPT = 1 / 3
"""Of a rung's trials, those that are trained in full."""
HUGE = 1e300
"""Differences and sums of objectives up to here are finite."""


class SubsetRung(ModelNewton):
    """``memory["rung"]``, while there is one: its trials, best first, that full trainings are to follow."""

    def plan(self, n_rounds: int, n_trials: int) -> tuple[int, ...]:
        """M pairs of rounds: K trials of the rung, then those that stay. Raises SpecError for K < 2."""
        if n_trials < 2:
            raise SpecError(Problem("search.n_trials", n_trials, ">= 2 for a rung: one trial has nobody to beat"))
        return (n_trials, max(1, round(KEPT * n_trials))) * n_rounds

    def ask(self, state: SearchState, k: int, pending: Sequence[Point] = ()) -> Point:
        """A trial of the rung, as ``model_newton`` draws it; after the rung its k-th best, or one more draw."""
        rung = state.memory.get("rung", [])
        if k < len(rung):
            return self._space.point(np.array(rung[k]["point"]))
        return super().ask(_without_rung(state), k, pending)

    def fidelity(self, state: SearchState, k: int) -> Fidelity:  # noqa: ARG002 (alike for every trial)
        return FULL if "rung" in state.memory else Fidelity(data_share=DATA_SHARE)

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """After the rung: its trials, best first. After the full trainings: ``model_newton``'s step on all of them."""
        ordered(self._space, observations, at_least=1 if "rung" in state.memory else 2)
        if "rung" not in state.memory:
            best_first = sorted(observations, key=lambda o: (o.failed, o.objective, o.k))
            return SearchState(state.round + 1, state.theta, {**state.memory, "rung": [_plain(o) for o in best_first]})
        rung, full = state.memory["rung"], sorted(observations, key=lambda o: o.k)
        shift = _shift(full, rung, state.memory.get("shift", 0.0))
        left = [row for k, row in enumerate(rung) if k not in {o.k for o in full}]
        moved = [
            Observation(0, self._space.point(np.array(row["point"])), _clipped(row["objective"]) + shift, row["failed"])
            for row in left
        ]
        both = [replace(o, k=k) for k, o in enumerate([*full, *moved])]
        rounds = [state.round] * len(full) + [state.round - 1] * len(moved)
        told = self._told(_without_rung(state), both, rounds)
        return replace(told, memory={**told.memory, "shift": shift})


def _clipped(objective: float) -> float:
    return min(max(objective, -HUGE), HUGE)


def _plain(o: Observation) -> dict[str, Any]:
    return {"point": list(o.point.values), "objective": o.objective, "failed": o.failed}


def _without_rung(state: SearchState) -> SearchState:
    """The state as ``model_newton`` knows it."""
    memory = {name: value for name, value in state.memory.items() if name not in ("rung", "shift")}
    return replace(state, memory=memory)


def _shift(full: Sequence[Observation], rung: Sequence[dict[str, Any]], before: float) -> float:
    """Mean of full - rung over the trials that have both; the one before where none has."""
    pairs = [(o, rung[o.k]) for o in full if o.k < len(rung)]
    both = [(o.objective, row["objective"]) for o, row in pairs if not o.failed and not row["failed"]]
    if not both:
        return before
    full_K, rung_K = np.clip(np.array(both).T, -HUGE, HUGE)
    return float((full_K - rung_K).mean())
