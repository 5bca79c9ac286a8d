"""A searcher for tools that number their trials one by one instead of asking for whole rounds.

A round ends with the first K results that no round has counted, whichever trials they are of, so a lost or slow trial
holds nothing up; its result counts in the round in which it comes. While K results are awaited, further trials are
drawn under the same state with higher k, so no two trials are alike. Everything follows from (searcher, results in the
order they were told): the same results lead to the same asks. If every result comes before the next round's first ask,
the rounds are those of the service.
"""

from __future__ import annotations

from collections.abc import Sequence

from s2e.search.base import Searcher
from s2e.words import FULL, Observation, Point, Problem, SearchState, SpecError


class AskTell:
    """Rounds of ``n_trials`` results. Trials are numbered from 0 as they are asked for."""

    def __init__(self, searcher: Searcher, n_trials: int) -> None:
        """Raises SpecError for a rule with trials that are parts of a training: these tools train whole ones."""
        self._searcher, self._n_trials = searcher, n_trials
        self._state: SearchState = searcher.init()
        if searcher.fidelity(self._state, 0) != FULL:
            raise SpecError(Problem("searcher", type(searcher).__name__, "a rule whose trials are full trainings"))
        self._told: set[int] = set()
        self._waiting: list[tuple[int, Point, float | None]] = []
        """Results that no round has counted."""
        self._n_counted = 0
        """Trials asked here whose results were counted: so many k are gone."""

    def ask(self, number: int, pending: Sequence[Point] = ()) -> Point:
        """The point of a trial. It follows from the results of the rounds that were complete when it was asked, and,
        for a rule that looks at them, from the points of the trials in flight."""
        k = max(0, number - self._n_counted)
        if pending and self._searcher.looks_at_pending:
            return self._searcher.ask(self._state, k, pending)  # type: ignore[call-arg, no-any-return, unused-ignore]
        return self._searcher.ask(self._state, k)

    def tell(self, number: int, point: Point, objective: float | None) -> None:
        """Tell the objective of a trial, None if it failed; telling it again changes nothing. Results that were never
        asked for here have negative numbers."""
        if number in self._told:
            return
        self._told.add(number)
        self._waiting.append((number, point, objective))
        if len(self._waiting) == self._n_trials:
            self._state = self._searcher.tell(self._state, self._observations())
            self._n_counted += sum(number >= 0 for number, *_ in self._waiting)
            self._waiting = []

    def _observations(self) -> tuple[Observation, ...]:
        """A round as the searcher sees it, by number. A failed trial gets the round's worst."""
        known = sorted(self._waiting, key=lambda told: told[0])
        worst = max((objective for *_, objective in known if objective is not None), default=1.0)
        return tuple(
            Observation(k, point, worst if objective is None else objective, objective is None)
            for k, (_, point, objective) in enumerate(known)
        )
