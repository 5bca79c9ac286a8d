"""ASHA (Li et al. 2020): successive halving that never waits for a rung to be full.

Whenever a trial is wanted, the best of a rung that may go on does, the highest rung first: one in ETA of the trials
told there so far. Otherwise a uniform draw begins at the lowest rung. The rungs are those of Hyperband's longest
bracket (``rungs.py``). What is asynchronous in the paper happens between rounds here: the K trials of a round are the
first K of that queue, so a round may hold trials of several rungs, and all are told together. A trial that went on
early and was overtaken later still counts: never more than one in ETA of a rung go on, so the budget is kept.

``memory``: for each rung the newest N_RUNG trials told there, as [round, k, objective (None: failed), went on, point].
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from s2e.search.relaxation import Relaxation, ordered
from s2e.search.rungs import ETA, brackets
from s2e.search.space import Space
from s2e.words import Fidelity, Observation, Point, SearchState

N_RUNG = 240
"""Trials of a rung that are remembered, so that a state does not grow with the search."""
MAX_ROUNDS = 10_000
Entry = list[Any]


class Asha(Relaxation):
    """Uniform draws, of which one in ETA goes on from rung to rung; theta stays uniform."""

    def __init__(self, space: Space, seed: int, n_epochs: int) -> None:
        super().__init__(space, seed, n_epochs)
        self._n_epochs = n_epochs
        self._epochs = [rung.n_epochs for rung in brackets(n_epochs)[0]]

    def plan(self, n_rounds: int, n_trials: int) -> tuple[int, ...]:
        """As many rounds of K as cost M x K full trainings when one in ETA of each rung goes on."""
        shares = [ETA**-i for i in range(len(self._epochs))]
        stretches = [after - before for before, after in zip([0, *self._epochs], self._epochs, strict=False)]
        epochs = sum((share * stretch for share, stretch in zip(shares, stretches, strict=True)), Fraction(0))
        mean_cost = epochs / self._n_epochs / sum(shares)
        return (n_trials,) * min(MAX_ROUNDS, int(n_rounds / mean_cost))

    def ask(self, state: SearchState, k: int) -> Point:
        """The k-th trial that may go on, or a uniform draw."""
        queue = self._queue(state)
        return Point(tuple(queue[k][1][4])) if k < len(queue) else super().ask(state, k)

    def fidelity(self, state: SearchState, k: int) -> Fidelity:
        """The epochs of the next rung for a trial that goes on, of the lowest for a new one."""
        queue = self._queue(state)
        if k >= len(queue):
            return Fidelity(self._epochs[0])
        i, (m, parent, *_) = queue[k]
        return Fidelity(self._epochs[i + 1], resume=(m, parent), resumed_epochs=self._epochs[i])

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The rungs with this round in them."""
        ordered(self._space, observations, at_least=1)
        queue = self._queue(state)
        rungs: list[list[Entry]] = [list(rung) for rung in self._rungs(state)]
        for o in sorted(observations, key=lambda o: o.k):
            rung = 0
            if o.k < len(queue):
                i, parent = queue[o.k]
                rungs[i] = [[*e[:3], True, e[4]] if e is parent else e for e in rungs[i]]
                rung = i + 1
            objective = None if o.failed else o.objective
            rungs[rung].append([state.round, o.k, objective, False, list(o.point.values)])
        memory = {"rungs": [rung[-N_RUNG:] for rung in rungs]}
        return SearchState(state.round + 1, state.theta, memory)

    def _rungs(self, state: SearchState) -> list[list[Entry]]:
        return state.memory.get("rungs") or [[] for _ in self._epochs]

    def _queue(self, state: SearchState) -> list[tuple[int, Entry]]:
        """(rung, trial) of all that may go on, the highest rung and there the best trial first."""
        rungs = self._rungs(state)
        queue: list[tuple[int, Entry]] = []
        for i in range(len(rungs) - 2, -1, -1):
            ranked = sorted((e for e in rungs[i] if e[2] is not None), key=lambda e: (e[2], e[0], e[1]))
            most = int(len(rungs[i]) / ETA)
            room = max(0, most - sum(e[3] for e in rungs[i]))
            queue += [(i, e) for e in ranked[:most] if not e[3]][:room]
        return queue
