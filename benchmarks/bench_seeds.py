"""Whole trainings on many seeds: do the compiled step, torch's step and a plain loop end at the same accuracy?

The two steps of the engine train the same trials (initial weights, data order), so their difference is one of pairs.
The plain loop has draws of its own, so its difference from the engine is one of two samples. An accuracy is the mean
of the last ten epochs on the test images, in points; every interval is Student's at 95 %.

    python -m benchmarks.bench_seeds [--work digits mlp] [--seeds 20] [--epochs 60] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from statistics import fmean, stdev
from typing import Any

from scipy.special import stdtrit

from benchmarks.measure import machine
from benchmarks.resident import ResidentTrial
from benchmarks.stacked import EngineTrials
from benchmarks.workload import WORKS, Workload, build
from s2e.jobs.sequential import interval
from s2e.networks.library import instruction_set
from s2e.train.runtime import has_fast_bfloat16

TAIL = 10


def accuracies(make: Callable[[], EngineTrials | ResidentTrial], n_epochs: int) -> list[float]:
    """Test accuracy of each trial over the last epochs, in points."""
    trials = make()
    curve_TK = []
    for epoch in range(n_epochs):
        trials.run_epoch(epoch)
        curve_TK.append(list(trials.test_accuracy))
    return [100 * fmean(tail) for tail in zip(*curve_TK[-TAIL:], strict=True)]


def sides(work: Workload, n_seeds: int) -> dict[str, Callable[[int], list[float]]]:
    """Every side: the accuracies of its seeds after so many epochs."""
    engines = {"torch-float32": ("float32", "torch")}
    if instruction_set() is not None:
        engines["compiled-float32"] = ("float32", "native")
        if has_fast_bfloat16() and instruction_set(half=True) is not None:
            engines["compiled-bfloat16"] = ("bfloat16", "native")

    def plain(n_epochs: int) -> list[float]:
        return [accuracies(partial(ResidentTrial, work, seed), n_epochs)[0] for seed in range(n_seeds)]

    def engine(dtype: str, step: str, n_epochs: int) -> list[float]:
        make = partial(EngineTrials, work, n_seeds, dtype, shared_order=False, step=step)
        return accuracies(make, n_epochs)

    return {"plain-float32": plain} | {name: partial(engine, *how) for name, how in engines.items()}


def study(work: Workload, n_seeds: int, n_epochs: int) -> dict[str, Any]:
    """Mean accuracy of every side, and what separates it from torch's step in float32."""
    reached: dict[str, list[float]] = {}
    rows: dict[str, Any] = {}
    for name, run in sides(work, n_seeds).items():
        start_s = time.process_time()
        reached[name] = run(n_epochs)
        mean, half = interval(reached[name])
        rows[name] = {"accuracy": mean, "half_width": half, "cpu_s": round(time.process_time() - start_s, 1)}
    reference = reached["torch-float32"]
    for name, values in reached.items():
        if name == "plain-float32":
            difference, half = apart(values, reference)
        else:
            difference, half = interval([a - b for a, b in zip(values, reference, strict=True)])
        rows[name] |= {"less_torch": difference, "less_torch_half_width": half}
    return {"n_seeds": n_seeds, "n_epochs": n_epochs, "rows": rows, "accuracies": reached}


def apart(values: list[float], others: list[float]) -> tuple[float, float]:
    """Difference of the means of two samples of one size n, and the half-width of its interval (2n - 2 degrees)."""
    n = len(values)
    pooled = math.sqrt((stdev(values) ** 2 + stdev(others) ** 2) / n)
    return fmean(values) - fmean(others), float(stdtrit(2 * n - 2, 0.975)) * pooled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="+", choices=list(WORKS), default=["digits", "mlp"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--tiny", action="store_true", help="few images; shows only that it runs")
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "compiled_step": instruction_set(), "works": {}}
    for name in args.work:
        work = build(name, args.epochs, tiny=args.tiny)
        if work is not None:
            result["works"][name] = study(work, args.seeds, args.epochs)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
