"""Training a population and keeping its results: models, noise records, and checkpoints of trials that go on later."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from s2e.artifacts import checkpoint_path, save_model, save_noise
from s2e.data.record import noise_record
from s2e.extras import needs
from s2e.files import files_below
from s2e.labels.given import keep_labels
from s2e.labels.kept import margins_path, save
from s2e.train.checkpoint import Checkpoint, read_tensors
from s2e.train.together import Train
from s2e.train.trial import PopulationEnd, PopulationEpoch, train_population
from s2e.train.unfinished import Unfinished
from s2e.words import Population, TrialResult, TrialSpec, replace

log = logging.getLogger(__name__)
T = TypeVar("T")


class Keeper(Protocol):
    """Keeps the results that outlive a population."""

    def begin(self, population: Population) -> None:
        """The population is about to be trained."""

    def checkpoint(self, m: int, k: int) -> Checkpoint | None:
        """The state in which trial k of round m stopped; None where it was not kept."""

    def keep_checkpoint(self, trial: TrialSpec, checkpoint: Checkpoint) -> None:
        """A trial stopped that a later one may continue."""

    def unfinished(self, population: Population) -> Unfinished | None:
        """The file in which the population is kept while it trains; None if it is not kept."""

    def keep_models(self, population: Population, end: PopulationEnd) -> tuple[TrialResult, ...]:
        """The results, each with the path of its model where that was kept."""


@dataclass(frozen=True)
class NotKept:
    """Something could not be written; it is tried again when the next step is asked for."""

    error: OSError


@dataclass(frozen=True)
class Paused:
    """The population has stopped between two epochs, and is kept: the next trainer goes on from there."""


def train_kept(
    population: Population, keeper: Keeper, data_root: str | None
) -> Iterator[PopulationEpoch | PopulationEnd]:
    """:func:`train_population` with a keeper; the results at its end name the models that were kept."""
    for step in train_patiently(population, keeper, data_root):
        if isinstance(step, NotKept):
            raise step.error
        assert not isinstance(step, Paused)  # nobody asked for it
        yield step


def train_patiently(
    population: Population,
    keeper: Keeper,
    data_root: str | None,
    paused: Callable[[], bool] = lambda: False,
    train: Train | None = None,
) -> Iterator[PopulationEpoch | PopulationEnd | NotKept | Paused]:
    """:func:`train_kept` for a disk that may be full for a while: what was trained waits until it can be written.
    ``paused`` is asked after every epoch. ``train`` stands in for :func:`train_population`."""
    yield from _kept(partial(keeper.begin, population))
    unfinished = keeper.unfinished(population)
    start = None if unfinished is None else unfinished.load()
    if unfinished is not None and start is not None:
        yield from unfinished.told_again(start)
    elif (start := _start(population, keeper)) is not None and unfinished is not None:
        unfinished.first = start[0].n_epochs_done
    for step in (train or train_population)(population, data_root=data_root, start=start):
        if isinstance(step, PopulationEnd):
            results = yield from _kept(partial(keeper.keep_models, population, step))
            if unfinished is not None:
                yield from _kept(unfinished.remove)
            yield replace(step, results=results)
            continue
        if step.epochs[0].epoch + 1 == population.n_epochs_run < population.train.n_epochs:
            yield from _kept(partial(_keep_checkpoints, population, keeper, step))
        stops = False
        if unfinished is not None:
            stops = paused() and (yield from _kept(partial(unfinished.keep, step)))
            if not stops:
                unfinished.keep_if_due(step)
        yield step  # and nothing is asked of it any more: those it trains together with may be one epoch further
        if stops:
            yield Paused()
            return


def _kept(write: Callable[[], T]) -> Generator[NotKept, None, T]:
    while True:
        try:
            return write()
        except OSError as error:
            yield NotKept(error)


def _start(population: Population, keeper: Keeper) -> list[Checkpoint] | None:
    """The checkpoints of the trials this population continues. Where one is missing (another machine trained it), all
    start from initial weights: their seeds are the same, so the numbers are too."""
    checkpoints = []
    for trial in population.trials:
        resume = trial.fidelity.resume
        checkpoint = None if resume is None else keeper.checkpoint(*resume)
        if checkpoint is None or checkpoint.n_epochs_done != trial.fidelity.resumed_epochs:
            if resume is not None:
                log.warning("no checkpoint of trial %s: trained anew", resume)
            return None
        checkpoints.append(checkpoint)
    return checkpoints


def _keep_checkpoints(population: Population, keeper: Keeper, step: PopulationEpoch) -> None:
    for trial, checkpoint in zip(population.trials, step.checkpoints(), strict=True):
        if checkpoint is not None:
            keeper.keep_checkpoint(trial, checkpoint)


class InMemory:
    """Keeps checkpoints for as long as it lives, and no models."""

    def __init__(self) -> None:
        self._checkpoints: dict[tuple[int, int], Checkpoint] = {}

    def begin(self, population: Population) -> None:
        """Nothing is written."""

    def checkpoint(self, m: int, k: int) -> Checkpoint | None:
        return self._checkpoints.get((m, k))

    def keep_checkpoint(self, trial: TrialSpec, checkpoint: Checkpoint) -> None:
        self._checkpoints[trial.round, trial.k] = checkpoint

    def unfinished(self, population: Population) -> Unfinished | None:  # noqa: ARG002  it ends with this process
        return None

    def keep_models(self, population: Population, end: PopulationEnd) -> tuple[TrialResult, ...]:  # noqa: ARG002
        return end.results


class BelowRoot:
    """Keeps everything in files below an artifact root, in the folder of one job; ``attempt`` names the models.

    ``every_s``: seconds between two looks at where a population is, from which another attempt goes on; None: none.
    """

    def __init__(
        self, root: str | Path, job_id: str, attempt: int, data_root: str | None, every_s: float | None = None
    ) -> None:
        self._root, self._job_id, self._attempt, self._data_root = root, job_id, attempt, data_root
        self._every_s = every_s

    def begin(self, population: Population) -> None:
        if not population.data.truth_is_known:
            keep_labels(self._root, self._job_id, population.data, self._data_root)
            return  # nothing is drawn, and nobody knows what is wrong
        for seed in dict.fromkeys(trial.noise_seed for trial in population.trials):
            make = partial(noise_record, population.data, seed, self._data_root)
            save_noise(self._root, self._job_id, seed, make)

    def unfinished(self, population: Population) -> Unfinished | None:
        if self._every_s is None:
            return None
        return Unfinished(self._root, self._job_id, population, self._every_s)

    def checkpoint(self, m: int, k: int) -> Checkpoint | None:
        files, path = files_below(self._root), checkpoint_path(self._job_id, m, k)
        if files.look(path) is None:
            return None
        return Checkpoint.from_file(*read_tensors(files.read(path)))

    def keep_checkpoint(self, trial: TrialSpec, checkpoint: Checkpoint) -> None:
        with needs("train"):
            from safetensors.torch import save
        tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
        path = checkpoint_path(self._job_id, trial.round, trial.k)
        files_below(self._root).write(path, save(tensors, checkpoint.header()))

    def keep_models(self, population: Population, end: PopulationEnd) -> tuple[TrialResult, ...]:
        trials, kept = {trial.k: trial for trial in population.trials}, []
        for i, (result, model) in enumerate(zip(end.results, end.models, strict=True)):
            if model is None:
                kept.append(result)
                continue
            trial = trials[result.k]
            path = save_model(self._root, self._job_id, self._attempt, population, trial, result, model, end.network)
            margins = end.margins[i] if end.margins else None
            if margins is not None:
                save(self._root, margins_path(path), margins)
            kept.append(replace(result, model=path))
        return tuple(kept)


class CheckpointsBelowRoot(BelowRoot):
    """Keeps only checkpoints there, for processes that share a folder."""

    def begin(self, population: Population) -> None:
        """Nothing is written yet."""

    def keep_models(self, population: Population, end: PopulationEnd) -> tuple[TrialResult, ...]:  # noqa: ARG002
        return end.results
