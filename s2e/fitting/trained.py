"""The trainings of an estimator: the rounds of a search, then models on fresh seeds, in this process or in several."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from s2e.deadline import Deadline
from s2e.fitting.kept import AsFiles, InMemory, Models
from s2e.fitting.model import State
from s2e.jobs.loop import population_of, populations
from s2e.jobs.search import make_searcher, recommend_from, search_round
from s2e.jobs.trials import make_repeat
from s2e.labels.free import TrialMargins
from s2e.local import Trainer, train_here, trainer
from s2e.local_pool import Ended
from s2e.words import DataError, JobSpec, Population, Round, RoundRecord, TrialResult, replace

SHARE_OF_MODELS = 0.2
"""Of a budget, at least, for models on fresh seeds."""
FIRST_ASK_S, GROWTH = 2.0, 1.5
"""Seconds to find the second round's schedules, before anything is known; of later ones, by how much more they take."""


@dataclass(frozen=True)
class Trained:
    """The outcome of all trainings."""

    spec: JobSpec
    """With the rounds that were run."""
    history: tuple[RoundRecord, ...]
    recommended: tuple[int, int]
    keep_rate: tuple[float, ...]
    networks: tuple[State, ...]
    """Of every model each network, by the names of the plain module."""
    described: Mapping[str, Any]
    """Beside the file of a model: what new rows need."""
    margins: tuple[TrialMargins, ...]
    n_models: int


def trained(
    spec: JobSpec, data_root: str | None, n_models: int, n_jobs: int = 1, deadline: Deadline | None = None
) -> Trained:
    """Search as the job says, then train the best schedule on ``n_models`` fresh seeds.

    With a ``deadline`` both numbers, of rounds and of models, are the most: whole rounds and whole models are run while
    they end in time, at least one of each. What was run is in the answer, and run again without a deadline it gives the
    same numbers, however many processes train. Raises DataError where every training failed.
    """
    with _trainings(spec, data_root, n_jobs) as (train, kept):
        run = _Run(spec, train, n_jobs, deadline)
        run.search()
        if (best := recommend_from(spec, run.history)) is None:
            raise DataError("every training failed: try a smaller learning_rate, or features of a smaller scale")
        m, k = best
        trial = run.history[m].round.trials[k]
        models = run.models(trial.keep_rate, trial.train, n_models)
        networks = tuple(state for result in models for state in kept.states(result))
        searched = [result for record in run.history for result in record.results]
        margins = tuple(each for result in [*searched, *models] if (each := kept.margins(result)) is not None)
        spec = replace(spec, search=replace(spec.search, n_rounds=len(run.history)))
        described = kept.described(models[0])
        return Trained(spec, tuple(run.history), best, trial.keep_rate, networks, described, margins, run.n_models)


@contextmanager
def _trainings(spec: JobSpec, data_root: str | None, n_jobs: int) -> Iterator[tuple[Trainer, Models]]:
    """Of the trainings in this process nothing is written: a disk that others use may take seconds for a file."""
    if n_jobs == 1:
        here = InMemory()
        yield partial(train_here, here, data_root), here
        return
    with TemporaryDirectory(prefix="s2e-") as folder, trainer(spec, folder, data_root, n_jobs) as train:
        yield train, AsFiles(folder)


@dataclass
class _Run:
    spec: JobSpec
    train: Trainer
    n_jobs: int
    deadline: Deadline | None

    def __post_init__(self) -> None:
        self.history: list[RoundRecord] = []
        self.n_models = 0

    def search(self) -> None:
        """The rounds, as far as they fit."""
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

    def models(self, keep_rate: tuple[float, ...], overrides: dict[str, Any], most: int) -> list[TrialResult]:
        """The schedule on fresh seeds, as many at once as there are processes."""
        m, results = len(self.history), list[TrialResult]()
        while self.n_models < most and (not self.n_models or self._fits("models", 0.0)):
            n = min(self.n_jobs, most - self.n_models)
            seeds = range(self.n_models + 1, self.n_models + n + 1)
            trials = [
                make_repeat(self.spec, m, seed - 1, "searched", keep_rate, overrides, ("retrain", seed))
                for seed in seeds
            ]
            wave = [population_of(self.spec, Round(m, "retrain", (trial,)), (trial,)) for trial in trials]
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

    def _timed(self, kind: str, wave: Sequence[Population], reserve: float | None) -> list[TrialResult] | None:
        began = self._clock()
        results = self._trained(wave, reserve)
        if self.deadline is not None:
            self.deadline.took(kind, self._clock() - began)
        return results

    def _clock(self) -> float:
        return time.monotonic() if self.deadline is None else self.deadline.now()

    def _may_ask(self) -> bool:
        """A rule that models its objective thinks longer about every round, and cannot be interrupted."""
        if self.deadline is None:
            return True
        needs = GROWTH * self.deadline.needs("ask", otherwise=FIRST_ASK_S) + self.deadline.needs("round") / 2
        return self.deadline.left - self._reserve() >= needs

    def _fits(self, kind: str, reserve: float) -> bool:
        return self.deadline is None or self.deadline.fits(kind, reserve=reserve)

    def _reserve(self) -> float:
        """Seconds for models: a share of the budget, or for one that takes half of what a round took."""
        if self.deadline is None:
            return 0.0
        return max(SHARE_OF_MODELS * self.deadline.seconds, self.deadline.needs("round") / 2)
