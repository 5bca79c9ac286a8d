"""Records the table behind the simulated backend: real Co-teaching trainings on the digits, 50 % symmetric noise.

    python benchmarks/record_table.py [PATH]

240 schedules drawn uniformly from the space ``s2e`` and 16 of eq. (1), tau = 0 .. 0.9, one training each, with the data
and training settings of ``examples/digits.toml``. Trainings of one population share their data order, each population
draws its own.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import numpy as np

from s2e import catalog
from s2e.schedule import coteaching_keep_rate
from s2e.search.space import Space
from s2e.spec import EpochMetrics, JobSpec, Population, TrialSpec, derive_seed, parse_job, replace, to_json
from s2e.train.trial import PopulationEpoch, train_population
from workers.recorded import DIGITS_SYM50, RecordedTable

N_DRAWN, N_EQ1, POPULATION = 240, 16, 8
SEED = 0
JOB = Path(__file__).parents[1] / "examples" / "digits.toml"


def schedules(spec: JobSpec) -> list[tuple[float, ...]]:
    """R(t) of every training to record."""
    n_epochs = spec.train.n_epochs
    space: Space = catalog.load(catalog.SPACES, "s2e")
    uniform = np.ones(space.n_theta)
    drawn = space.curves(space.sample(uniform, np.random.default_rng(SEED), N_DRAWN), n_epochs)
    taus = np.linspace(0, 0.9, N_EQ1)
    eq1 = [coteaching_keep_rate(n_epochs, float(tau), spec.report.ramp_epochs) for tau in taus]
    return [tuple(curve.tolist()) for curve in drawn] + eq1


def trial(k: int, keep_rate: tuple[float, ...]) -> TrialSpec:
    """Training k of the table: its own initial weights, one data order per population, one noise draw for all."""
    order_seed = derive_seed(SEED, "table order", k // POPULATION)
    return TrialSpec(
        0, k, "search", 0, keep_rate, derive_seed(SEED, "table init", k), order_seed, derive_seed(SEED, "table noise")
    )


def train(spec: JobSpec, trials: list[TrialSpec]) -> list[list[EpochMetrics]]:
    """Every epoch of every trial, in the order of the trials."""
    epochs: dict[int, list[EpochMetrics]] = {t.k: [] for t in trials}
    for start in range(0, len(trials), POPULATION):
        group = tuple(trials[start : start + POPULATION])
        for step in train_population(Population(spec.data, spec.train, spec.plan, spec.tail_epochs, group)):
            if isinstance(step, PopulationEpoch):
                for row in step.epochs:
                    epochs[row.k].append(row)
        print(f"\r{start + len(group)} of {len(trials)}", end="", file=sys.stderr, flush=True)
    return list(epochs.values())


def record(path: Path) -> RecordedTable:
    """Train everything and write the table."""
    job = parse_job(tomllib.loads(JOB.read_text(encoding="utf-8")))
    spec = replace(job, plan=replace(job.plan, population=POPULATION))
    epochs_ST = train(spec, [trial(k, keep_rate) for k, keep_rate in enumerate(schedules(spec))])
    curves = {
        name: np.array([[getattr(row, name) for row in epochs] for epochs in epochs_ST], dtype=np.float32)
        for name in ("keep_rate", "validation_accuracy", "test_accuracy", "label_precision")
    }
    made_with = {name: to_json(getattr(spec, name)) for name in ("data", "train", "plan", "search")}
    table = RecordedTable(**curves, made_with=made_with)
    table.save(path)
    return table


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DIGITS_SYM50
    tail = record(target).validation_accuracy[:, -5:].mean(axis=1)
    print(f"\n{target}: {target.stat().st_size} bytes, {len(tail)} trainings")
    print(
        f"validation accuracy {tail.min():.3f} .. {np.median(tail):.3f} .. {tail.max():.3f}; R = 1: {tail[N_DRAWN]:.3f}"
    )
