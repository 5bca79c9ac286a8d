"""A row of a published table as jobs of this engine, and what training it gives."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from s2e.door import parse_job
from s2e.schedule import coteaching_keep_rate
from s2e.train.trial import PopulationEpoch, train_population
from s2e.words import EpochMetrics, Population, TrialSpec, derive_seed

ROWS = Path(__file__).with_name("rows.toml")
LAST = 10
Curve = list[float]
METRICS: dict[str, Callable[[Curve, Curve], float]] = {
    "best": lambda test, _: max(test),
    "last10": lambda test, _: fmean(test[-LAST:]),
    "best-val": lambda test, validation: test[validation.index(max(validation))],
}
"""Over the test and validation accuracies of all epochs, mean of the trial's networks. ``best`` and ``last10`` are as
published and never a basis of a choice; ``best-val``, the test accuracy of the epoch that validates best, is one."""


@dataclass(frozen=True)
class Measured:
    """One method of a row: test accuracies in % by kind of figure (METRICS), one for each seed."""

    method: str
    accuracy: dict[str, list[float]]
    published: float | None

    def mean(self, metric: str) -> float:
        return fmean(self.accuracy[metric])

    def shown(self, metric: str) -> str:
        """Mean and standard deviation over the seeds."""
        return f"{self.mean(metric):.2f} +- {stdev(self.accuracy[metric]):.2f}"


def load() -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Scales by name, and the rows."""
    content = tomllib.loads(ROWS.read_text(encoding="utf-8"))
    return content["scale"], content["row"]


def population(row: Mapping[str, Any], method: Mapping[str, Any], scale: Mapping[str, Any], dtype: str) -> Population:
    """One method of a row with fresh weights, data order and noise for every seed, the same ones for every method."""
    train = {**row["train"], "n_epochs": scale["n_epochs"]}
    if scale["device"] == "cuda":
        train |= row.get("paper", {})
    train |= {"method": method["method"], "params": method.get("params", {})}
    data = {**row["data"], "n_train": scale["n_train"]} if "n_train" in scale else row["data"]
    plan = {"device": scale["device"], "dtype": dtype}
    spec = parse_job({"data": data, "train": train, "plan": plan})
    keep_rate = coteaching_keep_rate(spec.train.n_epochs, spec.data.noise.noise_rate, 10)
    trials = []
    for k in range(scale["n_seeds"]):
        init, order, noise = (derive_seed(k, "reproduce", purpose) for purpose in ("init", "order", "noise"))
        trials.append(TrialSpec(0, k, "search", k, keep_rate, init, order, noise))
    return Population(spec.data, spec.train, spec.plan, LAST, tuple(trials))


def measure(row: Mapping[str, Any], method: Mapping[str, Any], scale: Mapping[str, Any], dtype: str) -> Measured:
    """Train one method of a row."""
    by_trial: dict[int, list[EpochMetrics]] = {}
    for step in train_population(population(row, method, scale, dtype)):
        if isinstance(step, PopulationEpoch):
            for epoch in step.epochs:
                by_trial.setdefault(epoch.k, []).append(epoch)
    curves = [_curves(epochs) for epochs in by_trial.values()]
    accuracy = {name: [round(metric(*pair), 3) for pair in curves] for name, metric in METRICS.items()}
    return Measured(method["method"], accuracy, method.get("published"))


def _curves(epochs: list[EpochMetrics]) -> tuple[Curve, Curve]:
    """Test and validation accuracy of each epoch, in %."""
    test, validation = ([100 * (value or 0.0) for value in values] for values in (
        [e.test_accuracy for e in epochs], [e.validation_accuracy for e in epochs]
    ))  # fmt: skip
    return test, validation


def ordering(expected: list[str], measured: Mapping[str, Measured]) -> str:
    """The published ordering at the end of training, found or not, in words."""
    means = [measured[name].mean("last10") for name in expected]
    holds = all(a < b for a, b in itertools.pairwise(means))
    return f"Published order {' < '.join(expected)}: {'found' if holds else 'NOT found'}"
