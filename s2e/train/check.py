"""A look at a population before it is trained: its data read, its networks built, a few steps and one validation."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from s2e.train.epoch import epoch_order, train_steps
from s2e.train.fitted import N_CHECKED, check_fitted, is_fitted
from s2e.train.metrics import validate
from s2e.train.population import StackedTrials
from s2e.train.runtime import flushed_denormals, prepare_process
from s2e.words import Population

STEPS = 3
"""The first steps compile, allocate and warm caches; only the last is timed."""
TIMED_STEPS = 12
"""Timed after them where a plan is chosen by the figure: the fastest counts."""
Clock = Callable[[], float]


@dataclass(frozen=True)
class Measured:
    """Seconds of one epoch, and the most memory: of the device, or on a CPU of the whole process."""

    epoch_s: float
    memory_bytes: int
    is_compiled: bool = False
    """The compiled step trained it."""
    n_rows: int = N_CHECKED
    """That a model was fitted to, where it is fitted in one go."""


def check_population(population: Population, data_root: str | None, *, n_timed: int = 1) -> Measured:
    """Train a few steps of ``population`` and throw them away; the fastest of the last ``n_timed`` is the time of a
    step. Of a model that is fitted in one go, the time is that of a few rows. Raises what its training would raise."""
    if is_fitted(population):
        seconds, n_rows = check_fitted(population, data_root)
        return Measured(seconds / population.train.n_epochs, _peak_bytes(torch.device("cpu")), n_rows=n_rows)
    device, dtype = prepare_process(population.plan)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    trials = StackedTrials(population, device, dtype, data_root)
    # What else runs only slows a step, and on a busy machine all of them; one thread's own time knows nothing of it.
    own_time = n_timed > 1 and device.type == "cpu" and population.plan.threads == 1
    clock = time.thread_time if own_time else time.perf_counter
    with flushed_denormals():
        step_s, validation_s = _time_step(trials, n_timed, clock), _time_validation(trials, device, clock)
    every = max(1, population.validate_every)
    return Measured(step_s * trials.n_steps + validation_s / every, _peak_bytes(device), bool(trials.is_fused))


def _time_step(trials: StackedTrials, n_timed: int, clock: Clock) -> float:
    trials.set_epoch(0)
    trials.method.begin_epoch(trials, 0)
    order = epoch_order(trials, 0)
    seconds = []
    for step in range(STEPS - 1 + n_timed):
        at = step % len(order)
        began_s = clock()
        loss, _ = train_steps(trials, order[at : at + 1], 0)
        loss.sum().item()  # waits for the device
        seconds.append(clock() - began_s)
    return min(seconds[-n_timed:])


def _time_validation(trials: StackedTrials, device: torch.device, clock: Clock) -> float:
    began_s = clock()
    validate(trials)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began_s


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
