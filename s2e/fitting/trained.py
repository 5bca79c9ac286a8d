"""The trainings of an estimator: the rounds of a search or of a race, then models on fresh seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from s2e.deadline import Deadline
from s2e.fitting.kept import AsFiles, InMemory, Models
from s2e.fitting.model import State
from s2e.fitting.race import Race
from s2e.fitting.runs import Search
from s2e.labels.free import TrialMargins
from s2e.local import train_here, trainer
from s2e.local_pool import Trainer
from s2e.words import DataError, JobSpec, RoundRecord, replace


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
    spec: JobSpec,
    data_root: str | None,
    n_models: int,
    n_jobs: int = 1,
    deadline: Deadline | None = None,
    busy: float = 1.0,
) -> Trained:
    """Search, or choose among the candidates, as the job says; then train the best on ``n_models`` fresh seeds.

    With a ``deadline`` the numbers, of rounds, candidates and models, are the most: as many are run as end in time, at
    least one of each. What was run is in the answer, and run again without a deadline it gives the same numbers,
    however many processes train. Raises DataError where every training failed.
    """
    with _trainings(spec, data_root, n_jobs) as (train, kept):
        run = (Search if spec.compare is None else Race)(spec, data_root, train, n_jobs, deadline, busy)
        run.search()
        if (choice := run.choice()) is None:
            raise DataError("every training failed: try a smaller learning_rate, or features of a smaller scale")
        models = run.models(choice, n_models)
        networks = tuple(state for result in models for state in kept.states(result))
        searched = [result for record in run.history for result in record.results]
        margins = tuple(each for result in [*searched, *models] if (each := kept.margins(result)) is not None)
        spec = replace(run.spec, search=replace(run.spec.search, n_rounds=len(run.history)))
        described = kept.described(models[0])
        return Trained(
            spec, tuple(run.history), choice.trial, choice.keep_rate, networks, described, margins, run.n_models
        )


@contextmanager
def _trainings(spec: JobSpec, data_root: str | None, n_jobs: int) -> Iterator[tuple[Trainer, Models]]:
    """Of the trainings in this process nothing is written: a disk that others use may take seconds for a file."""
    if n_jobs == 1:
        here = InMemory()
        yield partial(train_here, here, data_root), here
        return
    with TemporaryDirectory(prefix="s2e-") as folder, trainer(spec, folder, data_root, n_jobs) as train:
        yield train, AsFiles(folder)
