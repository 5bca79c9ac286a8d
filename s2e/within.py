"""A job within seconds, without a service: as large as there is time for, and ended between two rounds.

The job that was run is a job like any other: smaller, and with a budget of trials where time ended it. Run again
without seconds it gives the same report.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from s2e.data.datasets import load_split
from s2e.deadline import Deadline
from s2e.door.overrides import merged
from s2e.jobs import loop
from s2e.pace import MOST_BUSY, Pace, guessed, judged_in_time, queue
from s2e.parts import KINDS
from s2e.prepare import N_FOLDS, needs_estimate, provisional
from s2e.words import JobSpec, Population, Problem, Round, SpecError, to_json

FIELD = "seconds"
SHARE_PLANNED = 0.75
"""Of what is left, for the trainings that a plan is sure of; the rest is for finding schedules, and further looks."""


class Within:
    """A budget of seconds in which a job runs."""

    def __init__(self, spec: JobSpec, data_root: str | None, deadline: Deadline, n_workers: int) -> None:
        self._data_root, self._deadline, self._n_workers = data_root, deadline, n_workers
        began, cpu = time.perf_counter(), time.process_time()
        runs = list(_kinds_of_training(provisional(spec)))
        seconds = [guessed(run, data_root) for run in runs]
        took = time.perf_counter() - began
        self._busy = min(MOST_BUSY, max(1.0, took / max(1e-3, time.process_time() - cpu), queue()))
        self._training_s = self._busy * sum(seconds) / len(seconds)
        """Of one training alone, the mean over the job's methods."""

    def n_folds(self, spec: JobSpec) -> int:
        """Folds of the estimate, where the job needs one. Raises SpecError where none of them fits."""
        if not needs_estimate(spec):
            return N_FOLDS
        n_rows = len(load_split(spec.data, self._data_root).train.labels)
        one_s = self._training_s / self._busy / spec.train.n_epochs
        pace = Pace(one_s, one_s, n_rows, self._busy, self._busy)
        rows, n_folds = judged_in_time(pace, spec.train.batch_size, self._deadline, n_rows)
        if rows < n_rows:
            allowed = "more: an estimate of the labels' noise does not fit; or say what you know of it as report.tau"
            raise SpecError(Problem(FIELD, f"{self._deadline.seconds:g} s", allowed))
        return n_folds

    def planned(self, spec: JobSpec) -> JobSpec:
        """The job, or the largest smaller one whose planned trainings fit. Raises SpecError where none does."""
        kind, most_s = KINDS[spec.kind], SHARE_PLANNED * self._deadline.left
        least_s = 0.0
        for smaller in kind.smaller(spec):
            least_s = self._training_s * kind.n_planned(smaller) / self._n_workers
            if least_s <= most_s:
                return smaller
        enough_s = least_s / SHARE_PLANNED + self._deadline.seconds - self._deadline.left
        allowed = f"about {enough_s:.0f} s or more for a job of {spec.train.n_epochs} epochs; or fewer train.n_epochs"
        raise SpecError(Problem(FIELD, f"{self._deadline.seconds:g} s", allowed))

    def may_begin(self, round_: Round) -> bool:
        """True if the round ends nearer to the deadline than it is now."""
        return self._deadline.fits("trial", len(round_.trials), self._training_s / self._n_workers)

    def took(self, round_: Round, seconds: float) -> None:
        """Note the seconds of a round."""
        self._deadline.took("trial", seconds, len(round_.trials))


def _kinds_of_training(spec: JobSpec) -> Iterator[Population]:
    """A training of each kind that the job's first round has, alone."""
    first = loop.next_round(spec, ())
    assert first is not None
    seen = set()
    for trial in first.trials:
        train = merged(spec.train, trial.train)
        if (key := str(to_json(train))) not in seen:
            seen.add(key)
            yield loop.population_of(spec, first, (trial,))
