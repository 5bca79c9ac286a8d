"""A searcher for tools that number their trials one by one instead of asking for whole rounds.

Trial n is the (n - m K)-th of round m, the last round whose predecessors have all been told. While a round waits for a
straggler, further trials are drawn under the same state with higher k, so nobody waits and no two trials are alike.
Everything follows from (searcher, results so far): told the same again, it asks the same again.
"""

from __future__ import annotations

from collections.abc import Sequence

from s2e.search.base import Searcher
from s2e.words import FULL, Observation, Point, Problem, SearchState, SpecError


class AskTell:
    """Rounds of ``n_trials`` trials in the order of their numbers, which start at 0."""

    def __init__(self, searcher: Searcher, n_trials: int) -> None:
        """Raises SpecError for a rule with trials that are parts of a training: these tools train whole ones."""
        self._searcher, self._n_trials = searcher, n_trials
        self._states: list[SearchState] = [searcher.init()]
        if searcher.fidelity(self._states[0], 0) != FULL:
            raise SpecError(Problem("searcher", type(searcher).__name__, "a rule whose trials are full trainings"))
        self._told: dict[int, tuple[Point, float | None]] = {}

    def ask(self, number: int, pending: Sequence[Point] = ()) -> Point:
        """The point of a trial. It follows from the results of the rounds that were complete when it was asked, and,
        for a rule that looks at them, from the points of the trials in flight."""
        m = min(number // self._n_trials, len(self._states) - 1)
        k = number - m * self._n_trials
        if pending and self._searcher.looks_at_pending:
            return self._searcher.ask(self._states[m], k, pending)  # type: ignore[call-arg, no-any-return, unused-ignore]
        return self._searcher.ask(self._states[m], k)

    def tell(self, number: int, point: Point, objective: float | None) -> None:
        """The objective of a trial, None if it failed; of a trial told before, nothing is changed."""
        if number in self._told:
            return
        self._told[number] = (point, objective)
        while (observations := self._complete(len(self._states) - 1)) is not None:
            self._states.append(self._searcher.tell(self._states[-1], observations))

    def _complete(self, m: int) -> tuple[Observation, ...] | None:
        """Round m as the searcher sees it, None while a result is missing. A failed trial gets the round's worst."""
        first = m * self._n_trials
        told = [self._told.get(first + k) for k in range(self._n_trials)]
        known = [entry for entry in told if entry is not None]
        if len(known) < self._n_trials:
            return None
        worst = max((objective for _, objective in known if objective is not None), default=1.0)
        return tuple(
            Observation(k, point, worst if objective is None else objective, objective is None)
            for k, (point, objective) in enumerate(known)
        )
