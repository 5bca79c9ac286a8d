"""Records the tables behind the simulated backend and ``make bench-search``: real Co-teaching trainings on the digits.

    python -m benchmarks.record_table [--noise sym50 pair45] [--folder workers/tables]

For each noise setting, 512 schedules drawn uniformly from the space ``s2e`` and 25 of eq. (1) (R = 1, and a grid of tau
and t_k), three seeds each (initial weights and data order), with the data and training settings of
``examples/digits.toml``. Eight trainings of one seed form a population and share its data order; every population draws
its own. The noise draw is one for the table, as it is for a job.

S schedules, R seeds, T epochs. About 0.5 CPU seconds a training: half an hour for both tables on one quiet core.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from s2e.door import parse_job
from s2e.schedule import coteaching_keep_rate
from s2e.search.space import S2E
from s2e.train.trial import PopulationEpoch, train_population
from s2e.words import EpochMetrics, JobSpec, NoiseSpec, Population, TrialSpec, derive_seed, replace, to_json
from workers.recorded import MEASURED, TABLES, RecordedTable

N_DRAWN, N_SEEDS, POPULATION = 512, 3, 8
TAUS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
RAMPS = (5, 10, 20)
SEED = 0
NOISES = {"sym50": NoiseSpec("symmetric", 0.5), "pair45": NoiseSpec("pair", 0.45)}
JOB = Path(__file__).parents[1] / "examples" / "digits.toml"


def schedules(n_epochs: int) -> list[tuple[float, ...]]:
    """R(t) of every schedule to record: the uniform draws, R = 1, then eq. (1)."""
    drawn_SX = S2E.sample(S2E.initial_theta(), np.random.default_rng(SEED), N_DRAWN)
    eq1 = [coteaching_keep_rate(n_epochs, tau, ramp) for tau, ramp in product(TAUS, RAMPS)]
    return [*map(tuple, S2E.curves(drawn_SX, n_epochs).tolist()), (1.0,) * n_epochs, *eq1]


def population(spec: JobSpec, curves: list[tuple[float, ...]], first: int, r: int) -> Population:
    """Up to POPULATION schedules from ``first`` on, under seed r."""
    order_seed, noise_seed = derive_seed(SEED, "table order", first, r), derive_seed(SEED, "table noise")
    trials = tuple(
        TrialSpec(
            0, first + i, "search", r, curve, derive_seed(SEED, "table init", first + i, r), order_seed, noise_seed
        )
        for i, curve in enumerate(curves[first : first + POPULATION])
    )
    return Population(spec.data, spec.train, spec.plan, spec.tail_epochs, trials)


def train(spec: JobSpec, curves: list[tuple[float, ...]]) -> list[list[list[EpochMetrics]]]:
    """Every epoch of every training, S x R x T."""
    epochs_SRT: list[list[list[EpochMetrics]]] = [[[] for _ in range(N_SEEDS)] for _ in curves]
    for r, first in product(range(N_SEEDS), range(0, len(curves), POPULATION)):
        for step in train_population(population(spec, curves, first, r)):
            if isinstance(step, PopulationEpoch):
                for row in step.epochs:
                    epochs_SRT[row.k][r].append(row)
        print(f"\rseed {r}, schedule {first} of {len(curves)}", end="", file=sys.stderr, flush=True)
    return epochs_SRT


def record(noise: NoiseSpec, path: Path) -> RecordedTable:
    """Train everything under one noise setting and write the table."""
    job = parse_job(tomllib.loads(JOB.read_text(encoding="utf-8")))
    plan = replace(job.plan, population=POPULATION, dtype="float32")
    spec = replace(job, data=replace(job.data, noise=noise), plan=plan)
    curves = schedules(spec.train.n_epochs)
    epochs_SRT = train(spec, curves)
    measured = {
        name: np.array([[[getattr(row, name) for row in run] for run in runs] for runs in epochs_SRT], dtype=np.float64)
        for name in MEASURED
    }
    made_with: dict[str, Any] = {name: to_json(getattr(spec, name)) for name in ("data", "train", "plan")}
    made_with |= {"n_drawn": N_DRAWN, "tail_epochs": spec.tail_epochs, "seed": SEED, "torch": str(torch.__version__)}
    table = RecordedTable(keep_rate=np.array(curves), **measured, made_with=made_with)
    table.save(path)
    return table


def spread(table: RecordedTable) -> str:
    """The spread of schedules and of seeds, in words: it makes a table easy or hard to search."""
    accuracy_SR = 1 - table.objective(table.made_with["tail_epochs"])
    low, middle, high = np.quantile(accuracy_SR.mean(axis=1), (0.05, 0.5, 0.95))
    seed_sd = np.sqrt(accuracy_SR.var(axis=1, ddof=1).mean())
    return (
        f"{accuracy_SR.size} trainings; validation accuracy of schedules {low:.3f} {middle:.3f} {high:.3f} (5, 50, 95 "
        f"%), best {accuracy_SR.mean(axis=1).max():.3f}, R = 1 {accuracy_SR[N_DRAWN].mean():.3f}; sd between seeds "
        f"{seed_sd:.4f}, between schedules {accuracy_SR.mean(axis=1).std():.4f}"
    )


def main() -> None:
    """Record the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", nargs="+", choices=list(NOISES), default=list(NOISES))
    parser.add_argument("--folder", type=Path, default=TABLES)
    args = parser.parse_args()
    for name in args.noise:
        path = args.folder / f"digits_{name}.npz"
        print(f"\n{path}: {spread(record(NOISES[name], path))}; {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
