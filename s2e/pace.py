"""From a budget of seconds to a plan of fixed numbers: a few steps are measured, the rest is arithmetic."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass

from s2e.deadline import Deadline
from s2e.extras import needs
from s2e.jobs import loop
from s2e.parts import METHODS, FittedPart
from s2e.words import JobSpec, Population, Problem, SpecError, replace

MOST_ROUNDS, MOST_MODELS = 20, 50
"""Of a plan; with them done a fit ends before its budget does."""
FEWEST_EPOCHS = 5
SIZES = (6, 4, 3, 2)
"""Trials of a round: the most whose round is small enough."""
SHARE_OF_ONE = 0.04
"""Of the budget, at most, for the training of one model: the end can be no nearer than half of that."""
SHARE_OF_ROUND = 0.12
SHARE_OF_ESTIMATE = 0.4
SHARE_OF_LEAST = 0.5
"""Of the budget that a refusal names, for the least that could be trained."""
FOLDS = (5, 3)
FEWEST_ROWS = 500
"""An estimate of the noise on fewer is worth little."""
SLOWER = 3.0
"""A row in cross-fitting against one in a compiled training, per network: measured 2 to 3.5 on dense networks."""
NO_SLOWER = 0.7
"""Against one that is not compiled, measured on model1."""
START_S = 2.0
"""Of a process that trains, before it has read anything: it imports torch."""
WORTH = 1.3
"""Processes must do so many times the work of one in the time that is left."""
N_TIMED = 6
MOST_BUSY = 10.0


@dataclass(frozen=True)
class Pace:
    """Measurements from before anything trained."""

    one_s: float
    """Of an epoch of one training alone."""
    round_s: float
    """Of an epoch of as many as ``SIZES`` has at most, spread over the processes."""
    n_rows: int
    """That one of them trains on."""
    busy: float = 1.0
    """The factor by which it takes longer while others use the machine as they do or did in the last minute."""
    seen: float = 1.0
    """The same as the measurement itself has met it."""
    slower: float = SLOWER
    """A row in cross-fitting against one in such a training, per network."""


def measured(spec: JobSpec, data_root: str | None, n_jobs: int) -> Pace:
    """Seconds of an epoch here and now."""
    with needs("train"):
        from s2e.data.datasets import load_split
        from s2e.train.check import Measured, check_population

    def epoch(n_trials: int) -> Measured:
        spec_n = replace(spec, search=replace(spec.search, n_trials=max(SIZES)))
        first = loop.next_round(replace(spec_n, plan=replace(spec.plan, population=n_trials)), ())
        assert first is not None
        population = loop.populations(replace(spec_n, plan=replace(spec.plan, population=n_trials)), first)[0]
        return check_population(population, data_root, n_timed=N_TIMED)

    n_rows = len(load_split(spec.data, data_root).train.labels)
    one = epoch(1)
    # the fastest step is one that nobody disturbed: others who use the machine show in the clock, not in our own time
    began, cpu = time.perf_counter(), time.process_time()
    round_s = epoch(-(-max(SIZES) // n_jobs)).epoch_s
    busy = (time.perf_counter() - began) / max(1e-3, time.process_time() - cpu)
    seen = min(MOST_BUSY, max(1.0, busy))
    busy = min(MOST_BUSY, max(seen, queue()))
    return Pace(one.epoch_s, round_s, n_rows, busy, seen, SLOWER if one.is_compiled else NO_SLOWER)


def guessed(population: Population, data_root: str | None) -> float:
    """Seconds that a training takes where nobody else uses the machine; of a model that is fitted in one go the most,
    by the power of the number of rows that its part declares."""
    from s2e.data.datasets import load_split
    from s2e.train.check import check_population

    method = METHODS.find(population.train.method, "train.method").stored(population.train.params)
    check = check_population(population, data_root, n_timed=1 if method.fitted else N_TIMED)
    seconds = check.epoch_s * population.train.n_epochs
    if not isinstance(method, FittedPart):
        return seconds
    n_rows = min(len(load_split(population.data, data_root).train.labels), method.max_rows)
    return seconds * math.pow(max(1.0, n_rows / check.n_rows), method.growth)


def worth_their_start(pace: Pace, deadline: Deadline, read_s: float, n_jobs: int) -> tuple[Pace, int]:
    """``n_jobs`` processes, or this one alone where starting the others, each of which reads for ``read_s`` seconds
    what is read already, would leave them too little; and the pace with so many."""
    start_s, rest_s = START_S * pace.seen + read_s, (1 - SHARE_OF_ESTIMATE) * deadline.left
    if n_jobs == 1 or rest_s + (n_jobs - 1) * (rest_s - start_s) >= WORTH * rest_s:
        return pace, n_jobs
    return replace(pace, round_s=n_jobs * pace.round_s), 1


def planned(spec: JobSpec, pace: Pace, deadline: Deadline, n_jobs: int) -> JobSpec:
    """The job with epochs, trials of a round and populations that suit the budget; its epochs are the most.

    Epochs are not cut for what the last minute was like: a training of a few learns nothing, however many there are of
    it, while rounds and models that take longer than planned are just fewer.

    Raises SpecError for a budget that is too small for anything, with one that would do.
    """
    seconds = deadline.left
    fewest = min(FEWEST_EPOCHS, spec.train.n_epochs)
    n_epochs = max(fewest, min(spec.train.n_epochs, int(SHARE_OF_ONE * seconds / (pace.seen * pace.one_s))))
    least_s = n_epochs * (_round_s(pace, min(SIZES)) + pace.one_s)
    if least_s > seconds:
        enough_s = least_s / SHARE_OF_LEAST + deadline.seconds - seconds
        what = f"a round of {min(SIZES)} trainings and a model of {n_epochs} epochs"
        raise SpecError(Problem("budget", f"{deadline.seconds:g} s", f"about {enough_s:.0f} s or more: {what}"))
    round_s = SHARE_OF_ROUND * seconds / (n_epochs * pace.busy)
    n_trials = next((n for n in SIZES if _round_s(pace, n) <= round_s), min(SIZES))
    return replace(
        spec,
        train=replace(spec.train, n_epochs=n_epochs),
        search=replace(spec.search, n_rounds=MOST_ROUNDS, n_trials=n_trials),
        plan=replace(spec.plan, population=-(-n_trials // n_jobs)),
    )


def judged_in_time(pace: Pace, batch_size: int, deadline: Deadline, n_rows: int) -> tuple[int, int]:
    """(rows, folds) of the cross-fitted estimate that fits: all and five, else less of both; (0, 0): none."""
    from s2e.labels.noise import passes

    row_s, most_s = pace.slower * pace.seen * pace.one_s / (2 * pace.n_rows), SHARE_OF_ESTIMATE * deadline.left
    least = min(FEWEST_ROWS, n_rows)
    sizes = [n_rows, *(n for n in (20_000, 10_000, 5_000, 2_500, 1_250, 600) if least <= n < n_rows)]
    for rows in sizes:
        for n_folds in FOLDS:
            if passes(rows, batch_size, n_folds) * rows * row_s <= most_s:
                return rows, n_folds
    return 0, 0


def queue() -> float:
    """Programs that want a core, for each core."""
    return os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0


def _round_s(pace: Pace, n_trials: int) -> float:
    return max(pace.one_s, pace.round_s * n_trials / max(SIZES))
