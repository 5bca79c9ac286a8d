"""Accuracy with the samples that R(t) drops used as samples without a label, beside leaving them alone.

Both sides train the same trials: schedule, epochs, initial weights, data order, noise draw. The accuracy is that on the
test images, mean over the last ten epochs and a trial's networks, in points; every difference is one of pairs, with
Student's interval at 95 % over seeds that each have a noise draw of their own. Settings are chosen on the digits
(``--arms grid``) and looked at on a small MNIST, 1,000 training images of 14 x 14 pixels.

    python -m benchmarks.bench_dropped [--work digits] [--arms chosen] [--seeds 20] [--results FOLDER] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.measure import machine, write_result
from benchmarks.real_search import small_mnist
from s2e.jobs.sequential import interval
from s2e.parts import METHODS
from s2e.schedule import coteaching_keep_rate
from s2e.train.trial import PopulationEpoch, train_population
from s2e.words import DataSpec, NoiseSpec, PlanSpec, Population, TrainSpec, TrialSpec, replace, to_json

TAIL = 10
RAMP = 10
"""t_k of eq. (1)."""
CONFUSED = {7: 1, 2: 7, 5: 6, 6: 5, 3: 8}
"""Of digits at asymmetric noise, the classes that MNIST's has."""
NOTHING: Mapping[str, Any] = {}
Params = Mapping[str, Any]


def pseudo(weight: float, confidence: float) -> Params:
    """Settings of the peer's predictions as labels."""
    return {"dropped": "pseudo_labels", "dropped_weight": weight, "dropped_confidence": confidence}


def consistent(weight: float) -> Params:
    """Settings of the squared error from the peer's predictions."""
    return {"dropped": "consistency", "dropped_weight": weight}


_GRID = (*(pseudo(*s) for s in ((1.0, 0.0), (1.0, 0.5), (1.0, 0.8), (3.0, 0.5), (3.0, 0.8))),)
ARMS: dict[str, dict[str, tuple[Params, ...]]] = {
    "grid": dict.fromkeys(("coteaching", "selfteaching"), (*_GRID, consistent(1.0), consistent(10.0))),
    "chosen": {
        "coteaching": (pseudo(1.0, 0.8), pseudo(3.0, 0.8), consistent(10.0)),
        "selfteaching": (pseudo(1.0, 0.8), pseudo(3.0, 0.8), consistent(1.0)),
    },
}
FACTORS = {"grid": (1.0,), "chosen": (1.0, 1.2)}
"""Times tau, of the schedules."""


@dataclass(frozen=True)
class Work:
    """Data and length of the trainings of a comparison."""

    data: DataSpec
    n_epochs: int = 40
    root: str | None = None


WORKS = {
    "digits": Work(DataSpec("digits", n_validation=300)),
    "mnist": Work(DataSpec("mnist", n_validation=500, n_train=1_000)),
}


def noises(dataset: str) -> dict[str, tuple[NoiseSpec, float]]:
    """Noise by name, and the tau of its default schedule: the share of wrong labels."""
    asymmetric = NoiseSpec("asymmetric", 0.4)
    if dataset == "digits":
        matrix = np.eye(10)
        for one, other in CONFUSED.items():
            matrix[one, one], matrix[one, other] = 0.6, 0.4
        asymmetric = NoiseSpec("matrix", 0.0, matrix=tuple(map(tuple, matrix.tolist())))
    return {
        "sym50": (NoiseSpec("symmetric", 0.5), 0.5),
        "pair45": (NoiseSpec("pair", 0.45), 0.45),
        "asym40": (asymmetric, 0.2),
    }


def trained(work: Work, method: str, params: Params, noise: NoiseSpec, tau: float, n_seeds: int) -> dict[str, Any]:
    """Test accuracy of each seed, in points, and the CPU seconds of all."""
    keep_rate = coteaching_keep_rate(work.n_epochs, tau, min(RAMP, work.n_epochs))
    trials = tuple(
        TrialSpec(0, k, "search", k, keep_rate, init_seed=k, order_seed=1_000 + k, noise_seed=2_000 + k)
        for k in range(n_seeds)
    )
    settings = to_json(METHODS[method].of(params, dataset=work.data.name))
    train = TrainSpec(method=method, params=settings, n_epochs=work.n_epochs, batch_size=64, learning_rate=3e-3)
    plan = PlanSpec(population=n_seeds, threads=1)
    data = replace(work.data, noise=noise)
    population = Population(data, train, plan, TAIL, trials, validate_every=0, test_every=0)
    start_s, curve_TK = time.process_time(), []
    for step in train_population(population, data_root=work.root):
        if isinstance(step, PopulationEpoch):
            curve_TK += [[100 * (row.test_accuracy or 0.0) for row in step.epochs]]
    return {
        "accuracies": [round(fmean(tail), 3) for tail in zip(*curve_TK[-TAIL:], strict=True)],
        "cpu_s": round(time.process_time() - start_s, 2),
    }


def rows(work: Work, method: str, arms: str, n_seeds: int) -> Iterator[dict[str, Any]]:
    """One row for each noise, schedule and use of what it drops; the first of them is leaving it alone."""
    for (name, (noise, rate)), factor in product(noises(work.data.name).items(), FACTORS[arms]):
        base = trained(work, method, NOTHING, noise, factor * rate, n_seeds)
        for params in (NOTHING, *ARMS[arms][method]):
            run = trained(work, method, params, noise, factor * rate, n_seeds) if params else base
            (mean, half), (more, more_half) = (
                interval(run["accuracies"]),
                interval([a - b for a, b in zip(run["accuracies"], base["accuracies"], strict=True)]),
            )
            yield {
                "method": method, "noise": name, "factor": factor, "params": dict(params), "accuracy": mean,
                "half_width": half, "more": more, "more_half_width": more_half,
                "x_cpu": round(run["cpu_s"] / base["cpu_s"], 2), **run,
            }  # fmt: skip


def table_line(row: Mapping[str, Any]) -> str:
    """A row as Markdown, in points."""
    settings = [
        f"{name.removeprefix('dropped_')} {value}" for name, value in row["params"].items() if name != "dropped"
    ]
    use = ", ".join([row["params"].get("dropped", "nothing"), *settings])
    more = f"{row['more']:+.1f} ± {row['more_half_width']:.1f}" if row["params"] else ""
    accuracy = f"{row['accuracy']:.1f} ± {row['half_width']:.1f}"
    return (
        f"| {row['method']} | {row['noise']} | {row['factor']:g} tau | {use} | {accuracy} | {more} "
        f"| {row['x_cpu']:.1f} |"
    )


def study(name: str, arms: str, n_seeds: int, *, tiny: bool = False) -> list[dict[str, Any]]:
    """All rows of a piece of work, shown as they come."""
    work, measured = WORKS[name], []
    with tempfile.TemporaryDirectory() as folder:
        if name == "mnist":
            small_mnist(Path(folder))
            work = replace(work, root=folder)
        work = replace(work, n_epochs=2) if tiny else work
        for method in ARMS[arms]:
            for row in rows(work, method, arms, n_seeds):
                print(table_line(row), flush=True)
                measured.append(row)
    return measured


def main() -> None:
    """Train, and keep or print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", choices=list(WORKS), default="digits")
    parser.add_argument("--arms", choices=list(ARMS), default="chosen")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="two epochs of two seeds: shows only that it runs")
    parser.add_argument("--results", type=Path, help="folder the JSON is kept in; without it, it goes to the output")
    args = parser.parse_args()
    n_seeds = 2 if args.tiny else args.seeds
    start = machine()
    measured = study(args.work, args.arms, n_seeds, tiny=args.tiny)
    result = {"machine": start, "load_at_end": machine()["load_1min"], "work": args.work, "seeds": n_seeds}
    result |= {"rows": measured}
    if args.results is None:
        print(json.dumps(result))
        return
    print(f"wrote {write_result(args.results, f'dropped-{args.work}-{args.arms}', result)}")


if __name__ == "__main__":
    main()
