"""The trainings of an estimator one round after another, in one process or several, as far as a budget lets them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from s2e.deadline import Deadline
from s2e.jobs.loop import population_of, populations
from s2e.jobs.search import make_searcher, recommend_from, search_round
from s2e.jobs.trials import make_repeat
from s2e.local_pool import Ended, Trainer
from s2e.stages import stage_of, tell
from s2e.words import DataError, JobSpec, Population, Round, RoundRecord, TrialResult

SHARE_OF_MODELS = 0.2
"""Of a budget, at least, for models on fresh seeds."""
FIRST_ASK_S, GROWTH = 2.0, 1.5
"""Seconds to find the second round's schedules, before anything is known; of later ones, by how much more they take."""


@dataclass(frozen=True)
class Choice:
    """The outcome of the rounds, from which models are trained."""

    trial: tuple[int, int]
    """(round, k) of the training that stands for it."""
    keep_rate: tuple[float, ...]
    overrides: dict[str, Any]
    purpose: str
    """Kind of the round that trains the models, and of their seeds."""


@dataclass
class Run(ABC):
    """Trainings one round after another, of a kind that a subclass has."""

    spec: JobSpec
    """With a deadline it shrinks to what there was time for."""
    data_root: str | None
    train: Trainer
    n_jobs: int
    deadline: Deadline | None
    busy: float = 1.0

    def __post_init__(self) -> None:
        self.history: list[RoundRecord] = []
        self.n_models = 0

    @abstractmethod
    def search(self) -> None:
        """The rounds, as far as they fit; one at least."""

    @abstractmethod
    def choice(self) -> Choice | None:
        """The outcome of the rounds; None where every training failed."""

    def most_models(self, most: int) -> int:
        """Models of the choice that differ, at most."""
        return most

    def models(self, choice: Choice, most: int) -> list[TrialResult]:
        """The choice on fresh seeds, as many at once as there are processes. Raises DataError where all fail."""
        m, results, most = len(self.history), list[TrialResult](), self.most_models(most)
        while self.n_models < most and (not self.n_models or self._fits("models", 0.0)):
            n = min(self.n_jobs, most - self.n_models)
            seeds = range(self.n_models + 1, self.n_models + n + 1)
            trials = [
                make_repeat(
                    self.spec, m, seed - 1, "searched", choice.keep_rate, choice.overrides, (choice.purpose, seed)
                )
                for seed in seeds
            ]
            wave = [population_of(self.spec, Round(m, choice.purpose, (trial,)), (trial,)) for trial in trials]
            models = self._timed("models", wave, 0.0 if self.n_models else None)
            if models is None:
                break
            results += models
            self.n_models += n
        succeeded = [result for result in results if not result.failed]
        if not succeeded:
            raise DataError(f"the last training failed: {results[0].reason}")
        return succeeded

    def _trained(self, wave: Sequence[Population], reserve: float | None) -> list[TrialResult] | None:
        """Their results; None where, but for ``reserve`` seconds, the budget ended before they did: as if they had not
        been begun. Without a reserve they are trained to the end."""
        results: list[TrialResult] = []
        for step in self.train(wave):
            if isinstance(step, Ended):
                results += step.results
            elif reserve is not None and self.deadline is not None and self.deadline.left < reserve:
                return None
        return sorted(results, key=lambda result: result.k)

    def _timed(
        self, kind: str, wave: Sequence[Population], reserve: float | None, units: float = 1
    ) -> list[TrialResult] | None:
        tell(f"model {self.n_models + 1}" if kind == "models" else stage_of(wave))
        began = self._clock()
        results = self._trained(wave, reserve)
        if self.deadline is not None:
            self.deadline.took(kind, self._clock() - began, units)
        return results

    def _clock(self) -> float:
        return time.monotonic() if self.deadline is None else self.deadline.now()

    def _fits(self, kind: str, reserve: float, units: float = 1) -> bool:
        return self.deadline is None or self.deadline.fits(kind, units, reserve=reserve)

    def _reserve(self) -> float:
        """Seconds for models: a share of the budget, or for one that takes half of what a round took."""
        if self.deadline is None:
            return 0.0
        return max(SHARE_OF_MODELS * self.deadline.seconds, self.deadline.needs("round") / 2)


class Search(Run):
    """The rounds of a search, then models of the schedule that it recommends."""

    def search(self) -> None:
        searcher = make_searcher(self.spec)
        while not self.history or self._may_ask():
            began = self._clock()
            round_ = search_round(self.spec, self.history, searcher)
            if self.history and self.deadline is not None:
                self.deadline.took("ask", self._clock() - began)
            if round_ is None or (self.history and not self._fits("round", self._reserve())):
                return
            # processes that train are not interrupted: they would have to be started anew for the models
            may_end = bool(self.history) and self.n_jobs == 1
            results = self._timed("round", populations(self.spec, round_), self._reserve() if may_end else None)
            if results is None:
                return
            self.history.append(RoundRecord(round_, tuple(results)))

    def choice(self) -> Choice | None:
        if (best := recommend_from(self.spec, self.history)) is None:
            return None
        m, k = best
        trial = self.history[m].round.trials[k]
        return Choice(best, trial.keep_rate, trial.train, "retrain")

    def _may_ask(self) -> bool:
        """A rule that models its objective thinks longer about every round, and cannot be interrupted."""
        if self.deadline is None:
            return True
        needs = GROWTH * self.deadline.needs("ask", otherwise=FIRST_ASK_S) + self.deadline.needs("round") / 2
        return self.deadline.left - self._reserve() >= needs
