"""Hyperband (Li et al. 2017) on prefixes of the training: many short trials, of which the better ones go on.

A round is one rung of one bracket (``rungs.py``): the trials of rung 0 are uniform draws, those of a later rung
continue the best of the rung before. The brackets follow each other, most rungs first, and begin again after the last.
A failed trial is never continued; where too few succeeded, a new draw is trained to the rung's epochs in its place.

Early epochs mislead under label noise (a network fits the clean labels first), which is what this rule bets against.
``memory``: bracket, rung, and for each trial that goes on its (round, k) and its point.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import cycle
from math import ceil

from s2e.search.relaxation import Relaxation, ordered
from s2e.search.rungs import brackets, cost
from s2e.search.space import Space
from s2e.words import Fidelity, Observation, Point, Problem, SearchState, SpecError


class Hyperband(Relaxation):
    """Uniform draws, cut down rung by rung; theta stays uniform."""

    def __init__(self, space: Space, seed: int, n_epochs: int) -> None:
        super().__init__(space, seed, n_epochs)
        self._n_epochs, self._brackets = n_epochs, brackets(n_epochs)

    def plan(self, n_rounds: int, n_trials: int) -> tuple[int, ...]:
        """As many whole brackets as cost at most M x K full trainings. Raises SpecError where not even one does."""
        sizes: list[int] = []
        left = Fraction(n_rounds * n_trials)
        for bracket in cycle(self._brackets):
            left -= cost(bracket, self._n_epochs)
            if left < 0:
                break
            sizes += [rung.n_trials for rung in bracket]
        if not sizes:
            least = ceil(cost(self._brackets[0], self._n_epochs) / n_rounds)
            allowed = f">= {least} for searcher hyperband in {n_rounds} rounds: its first bracket costs that much"
            raise SpecError(Problem("search.n_trials", n_trials, allowed))
        return tuple(sizes)

    def ask(self, state: SearchState, k: int) -> Point:
        """The k-th trial that goes on, or a uniform draw."""
        points = state.memory.get("points", [])
        return Point(tuple(points[k])) if k < len(points) else super().ask(state, k)

    def fidelity(self, state: SearchState, k: int) -> Fidelity:
        """The epochs of the rung, and the trial that is continued."""
        bracket, i = self._brackets[state.memory.get("bracket", 0)], state.memory.get("rung", 0)
        parents = state.memory.get("parents", [])
        if k >= len(parents):
            return Fidelity(bracket[i].n_epochs)
        m, parent = parents[k]
        return Fidelity(bracket[i].n_epochs, resume=(m, parent), resumed_epochs=bracket[i - 1].n_epochs)

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The next rung with the best of this one, or the next bracket."""
        ordered(self._space, observations, at_least=1)
        b, i = state.memory.get("bracket", 0), state.memory.get("rung", 0) + 1
        if i == len(self._brackets[b]):
            memory = {"bracket": (b + 1) % len(self._brackets), "rung": 0, "parents": [], "points": []}
            return SearchState(state.round + 1, state.theta, memory)
        ranked = sorted((o for o in observations if not o.failed), key=lambda o: (o.objective, o.k))
        best = ranked[: self._brackets[b][i].n_trials]
        memory = {
            "bracket": b,
            "rung": i,
            "parents": [[state.round, o.k] for o in best],
            "points": [list(o.point.values) for o in best],
        }
        return SearchState(state.round + 1, state.theta, memory)
