"""A look at a population before it is trained: its data read, its networks built, a few steps and one validation."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass

import torch

from s2e.train.epoch import epoch_order, train_steps
from s2e.train.metrics import validate
from s2e.train.population import StackedTrials
from s2e.train.runtime import flushed_denormals, prepare_process
from s2e.words import Population

STEPS = 3
"""The first steps compile, allocate and warm caches; only the last is timed."""


@dataclass(frozen=True)
class Measured:
    """Seconds of one epoch, and the most memory: of the device, or on a CPU of the whole process."""

    epoch_s: float
    memory_bytes: int


def check_population(population: Population, data_root: str | None) -> Measured:
    """Train a few steps of ``population`` and throw them away. Raises what its training would raise."""
    device, dtype = prepare_process(population.plan)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    trials = StackedTrials(population, device, dtype, data_root)
    with flushed_denormals():
        step_s, validation_s = _time_step(trials), _time_validation(trials, device)
    every = max(1, population.validate_every)
    return Measured(step_s * trials.n_steps + validation_s / every, _peak_bytes(device))


def _time_step(trials: StackedTrials) -> float:
    trials.set_epoch(0)
    trials.method.begin_epoch(trials, 0)
    order = epoch_order(trials, 0)
    began_s = 0.0
    for step in range(min(STEPS, len(order))):
        began_s = time.perf_counter()
        loss, _ = train_steps(trials, order[step : step + 1], 0)
        loss.sum().item()  # waits for the device
    return time.perf_counter() - began_s


def _time_validation(trials: StackedTrials, device: torch.device) -> float:
    began_s = time.perf_counter()
    validate(trials)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began_s


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
