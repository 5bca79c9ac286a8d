"""The engine as a contestant: a population that trains one epoch at a time."""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.workload import Workload
from s2e.train import epoch as engine_epoch
from s2e.train.metrics import evaluate
from s2e.train.population import StackedTrials
from s2e.train.resident import resident
from s2e.train.runtime import prepare_process


class EngineTrials:
    """K trials of the work as one stacked program, epoch by epoch."""

    def __init__(
        self,
        work: Workload,
        n_trials: int,
        dtype: str,
        *,
        shared_order: bool,
        device: str = "cpu",
        step: str = "auto",
    ) -> None:
        self.n_trials = n_trials
        population = work.population(n_trials, dtype, shared_order=shared_order, device=device, step=step)
        torch_device, torch_dtype = prepare_process(replace(population.plan, threads=torch.get_num_threads()))
        self.trials = StackedTrials(population, torch_device, torch_dtype)
        # Both sides evaluate the same images; the engine's own split would be larger than the comparison asks for.
        self.trials.data = resident(work.data, type(self.trials.network), torch_device)
        self.test_accuracy = [0.0]
        self.label_precision = 0.0

    def run_epoch(self, epoch: int) -> None:
        """Train all trials on one pass over the data and evaluate them on validation and test images."""
        numbers = engine_epoch.run_epoch(self.trials, epoch)
        self.test_accuracy = [row.test_accuracy for row in numbers]
        self.label_precision = sum(row.label_precision for row in numbers) / len(numbers)

    def evaluate(self) -> None:
        """Only the evaluation of an epoch."""
        parts = (self.trials.data.validation, self.trials.data.test)
        accuracies = [evaluate(self.trials, part)[0].mean(1) for part in parts]
        self.test_accuracy = accuracies[1].tolist()
