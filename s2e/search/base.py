"""The searcher's contract.

A searcher is built from (space, seed, n_epochs) and holds no other state. Its verbs are pure:

* ``init()``               the state before round 0;
* ``plan(M, K)``           the number of trials of each round, for a budget of M x K full trainings;
* ``ask(state, k)``        the k-th point of round ``state.round``; all its randomness comes from
                           ``default_rng([seed, state.round, k])``;
* ``fidelity(state, k)``   how much of a full training that trial is, and which earlier trial it continues;
* ``tell(state, round)``   the state of the next round, from a whole round of observations. The order of arrival does
                           not matter (they are sorted by k), failed trials are marked and carry the worst objective.

A rule that ``looks_at_pending`` takes the points of trials in flight as a third argument of ``ask``, for tools that ask
for one trial at a time.

So a crash, a retry and a replay all give the same theta. ``SearchState.memory`` is plain JSON and must survive a round
trip through text exactly. The objective is minimised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

from s2e.search.space import Space
from s2e.words import FULL, Fidelity, Observation, Point, SearchState


@runtime_checkable
class Searcher(Protocol):
    """See the module's docstring. ``n_epochs`` lets a rule look at the curve R(t) of a point."""

    looks_at_pending: ClassVar[bool]

    def __init__(self, space: Space, seed: int, n_epochs: int) -> None: ...

    def init(self) -> SearchState: ...

    def plan(self, n_rounds: int, n_trials: int) -> tuple[int, ...]: ...

    def ask(self, state: SearchState, k: int) -> Point: ...

    def fidelity(self, state: SearchState, k: int) -> Fidelity: ...

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState: ...


class FullTrainings:
    """The plan of a rule whose trials are full trainings: M rounds of K."""

    looks_at_pending: ClassVar[bool] = False

    def plan(self, n_rounds: int, n_trials: int) -> tuple[int, ...]:
        """K for each round."""
        return (n_trials,) * n_rounds

    def fidelity(self, state: SearchState, k: int) -> Fidelity:  # noqa: ARG002 (alike for every trial)
        """All of it."""
        return FULL
