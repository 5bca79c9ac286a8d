"""The entrance for workers: train a population and report each epoch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from s2e.data.inputs import NetworkShape
from s2e.labels.free import TrialMargins
from s2e.outcome import result_of
from s2e.train import fused
from s2e.train.checkpoint import Checkpoint, restore, take
from s2e.train.ends import balanced_accuracy, evidences, noisy_likelihoods, with_ends
from s2e.train.epoch import run_epoch
from s2e.train.fitted import is_fitted, train_fitted
from s2e.train.margins import HeldOut, held_out
from s2e.train.metrics import Measured
from s2e.train.population import EVALUATION_BATCH, StackedTrials
from s2e.train.runtime import flushed_denormals, prepare_process
from s2e.train.told import PopulationEnd as PopulationEnd
from s2e.train.told import PopulationEpoch as PopulationEpoch
from s2e.words import EpochMetrics, Evidence, Population, S2EError, TrialResult, TrialSpec, numbers_of, replace

LEFT = "it was left"


class NotTogetherError(S2EError):
    """These trials would get other bits beside others than alone."""


@dataclass
class _Progress:
    spec: TrialSpec
    history: list[EpochMetrics] = field(default_factory=list)
    reason: str = ""


def train_population(
    population: Population,
    *,
    data_root: str | None = None,
    start: Sequence[Checkpoint] | None = None,
    left: Callable[[], Collection[int]] | None = None,
) -> Iterator[PopulationEpoch | PopulationEnd]:
    """Train the trials of a population together: one PopulationEpoch per epoch, then exactly one PopulationEnd.

    ``start`` has a checkpoint for each trial, all after the same epoch: training goes on from there. ``left``, asked
    before each epoch, has the numbers within the population of trials that train no more; the bits of the others must
    not depend on them then, else NotTogetherError is raised.
    A prefix ends after ``population.n_epochs_run`` epochs of the full run; its results are means over its own tail.
    A trial whose loss becomes NaN or infinite leaves at that epoch's end without a row; the others are not touched.
    A model that is fitted in one go has one epoch. Raises SpecError or DataError for what cannot be trained here.
    """
    if is_fitted(population):
        yield from train_fitted(population, data_root)
        return
    device, dtype = prepare_process(population.plan)
    trials = StackedTrials(population, device, dtype, data_root)
    if left is not None and not fused.is_exact(trials):
        raise NotTogetherError("only the compiled step of a method that weighs by ranks trains them together")
    progress = [_Progress(trial) for trial in population.trials]
    first = 0
    if start is not None:
        restore(trials, start)
        first = start[0].n_epochs_done
        for mine, checkpoint in zip(progress, start, strict=True):
            mine.history += [replace(row, k=mine.spec.k) for row in checkpoint.history]
    for t in range(first, population.n_epochs_run):
        if left is not None and not _let_go(progress, trials, left()):
            return
        with flushed_denormals():
            numbers = run_epoch(
                trials,
                t,
                measure_validation=population.is_measured(t, population.validate_every),
                measure_test=population.is_measured(t, population.test_every),
            )
            rows = _record(progress, trials, numbers, t)
        if not rows:
            break
        yield PopulationEpoch(rows, partial(_checkpoints, progress, trials, t + 1))
    yield _end(population, trials, progress)


def _let_go(progress: Sequence[_Progress], trials: StackedTrials, left: Collection[int]) -> bool:
    """Take trials out of the stack; False if none is there any more."""
    stay = [k for k, trial in enumerate(trials.trial) if trial not in left]
    for trial in left:
        progress[trial].reason = progress[trial].reason or LEFT
    if 0 < len(stay) < trials.n_trials:
        trials.keep(stay)
    return bool(stay)


def _record(
    progress: Sequence[_Progress], trials: StackedTrials, measured: Sequence[Measured], t: int
) -> tuple[EpochMetrics, ...]:
    """Write epoch t down for the trials that stay, and let the failed ones leave."""
    alive = [k for k, row in enumerate(measured) if row.finite]
    rows = []
    for k, row in enumerate(measured):
        mine = progress[trials.trial[k]]
        if row.finite:
            metrics = _metrics(mine.spec, t, row)
            mine.history.append(metrics)
            rows.append(metrics)
        else:
            mine.reason = f"loss became NaN at epoch {t}"
    if 0 < len(alive) < trials.n_trials:
        trials.keep(alive)
    return tuple(rows)


def _checkpoints(
    progress: Sequence[_Progress], trials: StackedTrials, n_epochs_done: int
) -> tuple[Checkpoint | None, ...]:
    stacked = {trial: k for k, trial in enumerate(trials.trial)}
    return tuple(
        None if mine.reason else take(trials, stacked[i], n_epochs_done, mine.history)
        for i, mine in enumerate(progress)
    )


def _metrics(trial: TrialSpec, t: int, row: Measured) -> EpochMetrics:
    numbers = {number.name: getattr(row, number.name) for number in numbers_of(Measured)}
    return EpochMetrics(k=trial.k, epoch=t, keep_rate=trial.keep_rate[t], networks=row.networks, **numbers)


def _end(population: Population, trials: StackedTrials, progress: Sequence[_Progress]) -> PopulationEnd:
    stacked = {trial: k for k, trial in enumerate(trials.trial)}
    models = tuple(None if mine.reason else trials.export(stacked[i]) for i, mine in enumerate(progress))
    network = trials.network
    shape = NetworkShape(network.input_shape, trials.data.max_value, network.n_classes, trials.inputs)
    tail = population.tail_epochs
    results = tuple(result_of(mine.spec, mine.history, tail, mine.reason) for mine in progress)
    is_whole = population.n_epochs_run == population.train.n_epochs and bool(trials.trial)
    margins: tuple[TrialMargins | None, ...] = ()
    if is_whole:
        results = _with_ends(population, trials, results, stacked)
    if trials.margins is not None and population.n_epochs_run == population.train.n_epochs:
        of_all, others = trials.margins, _held_out(trials)
        margins = tuple(None if mine.reason else of_all.of(stacked[i], others) for i, mine in enumerate(progress))
    return PopulationEnd(results, models, shape, margins)


def _held_out(trials: StackedTrials) -> HeldOut:
    """Of the audit, which nothing that trains or ranks ever reads."""
    chunks = (
        chunk
        for part in (trials.data.validation, trials.data.test)
        for chunk in zip(part.images.split(EVALUATION_BATCH), part.labels.split(EVALUATION_BATCH), strict=True)
    )
    return held_out(lambda images: trials.forward(trials.data.scaled(images, trials.dtype), train=False), chunks)


def _with_ends(
    population: Population, trials: StackedTrials, results: tuple[TrialResult, ...], stacked: Mapping[int, int]
) -> tuple[TrialResult, ...]:
    """The results with what is measured once of networks that were trained to the end; the test set is looked at where
    every epoch of a report is."""
    n_trials, data = trials.n_trials, population.data
    balanced = balanced_accuracy(trials) if population.test_every == 1 else [None] * n_trials
    likelihood = noisy_likelihoods(trials, data)
    judged: Sequence[Evidence | None] = evidences(trials, data) if population.judged else [None] * n_trials
    columns = list(zip(balanced, likelihood, judged, strict=True))
    return tuple(
        result if result.failed else with_ends(result, *columns[stacked[i]]) for i, result in enumerate(results)
    )
