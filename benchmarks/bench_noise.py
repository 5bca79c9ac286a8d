"""The noise estimate alone, on cells of few rows: where it holds, and whether it says so where it does not.

Of every cell, seed and number of rows: the true and the estimated rate, the interval, the kind of the matrix and the
alarms. A run counts as *silent* where the rate is off by more than the bound of its kind of noise (.04; asymmetric .09)
without an alarm that says so (undecided, hard_rows, exchanged, starts_disagree, few_rows or binary).

    python -m benchmarks.bench_noise --output FOLDER          about 3 CPU seconds a run
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_cells import make_cell
from benchmarks.measure import Run, logged, machine, write_result
from s2e.labels.arrays import arranged
from s2e.labels.audit import SMALL, SMALL_BATCH, TRAIN
from s2e.labels.noise import estimate_noise
from s2e.train.runtime import prepare_process
from s2e.words import DataError, PlanSpec, replace

CELLS = [
    *("cifar-human", "cifar-random", "cifar-aggre", "cifar-clean", "cifar-sym40", "cifar-pair40", "cifar-asym40"),
    *("cifar-part40", "cifar-margin30", "mnist-sym20", "mnist-sym50", "mnist-pair40", "mnist-asym40", "mnist-clean"),
    *("mnist-margin30", "news-sym40", "news-pair40", "news-clean", "digits-sym20", "digits-asym40", "digits-part40"),
    *("phoneme-sym20", "phoneme-asym30", "phoneme-clean"),
]
"""The rule was chosen on seed 201, and looked at on seed 202 afterwards."""
UNTOUCHED = [
    *("fashion-sym40", "fashion-pair40", "fashion-asym40", "fashion-clean", "fashion-margin30"),
    *("adult-sym30", "adult-clean", "banknote-sym30", "digits-clean", "digits-pair45", "mnist-part40"),
]
"""Seed 301."""
DOUBTS = {"undecided", "hard_rows", "exchanged", "starts_disagree", "few_rows", "binary"}
BOUND, ASYMMETRIC_BOUND = 0.04, 0.09


def main() -> None:
    """Print JSON, or keep it below a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--seeds", default="201,202")
    parser.add_argument("--rows", default="640,1300")
    parser.add_argument("--output", type=Path, help="folder of <date>-noise.json")
    parser.add_argument("--log", type=Path, help="a file of runs, a JSON line each; those in it are not run again")
    args = parser.parse_args()
    prepare_process(PlanSpec())
    names = [f"{name} {n}" for name in args.cells.split(",") for n in args.rows.split(",")]
    cells = [(name, seed) for seed in map(int, args.seeds.split(",")) for name in names]
    runs = logged(cells, args.log, one_run)
    result = {"machine": machine(), "runs": runs, "summary": summarised(runs)}
    print(write_result(args.output, "noise", result) if args.output else json.dumps(result, indent=1))


def one_run(name: str, seed: int) -> Run:
    """The estimate of ``<cell> <rows>``."""
    cell, n = make_cell(name.split()[0], seed), int(name.split()[1])
    given_S, true_S = cell.given_S[:n], cell.true_S[:n]
    train = replace(TRAIN, batch_size=SMALL_BATCH) if n < SMALL else TRAIN
    samples, network = arranged(cell.x_SF[:n], given_S, train, cell.n_classes)
    row: Run = {"cell": name, "seed": seed, "true": round(float((given_S != true_S).mean()), 4)}
    try:
        estimate = estimate_noise(samples, network, train, seed=seed).estimate
    except DataError as error:
        return row | {"refused": str(error)}
    return row | {
        "rate": round(estimate.noise_rate, 4),
        "interval": [round(edge, 4) for edge in estimate.interval],
        "kind": estimate.kind,
        "alarms": [alarm.code for alarm in estimate.alarms],
        "passes": estimate.n_epochs,
    }


def is_silent(run: Run) -> bool:
    """True if the rate is off by more than its bound, and nothing says so."""
    bound = ASYMMETRIC_BOUND if "asym" in run["cell"] else BOUND
    return abs(run["rate"] - run["true"]) > bound and not DOUBTS & set(run["alarms"])


def summarised(runs: Sequence[Run]) -> dict[str, Any]:
    """Of all runs together, and of those that are decided: neither halfway between two kinds nor of two classes."""
    kept = [run for run in runs if "refused" not in run]
    decided = [run for run in kept if run["kind"] != "between" and "binary" not in run["alarms"]]
    return {
        "refused": len(runs) - len(kept),
        "between": sum(run["kind"] == "between" for run in kept),
        "silent": [[run["cell"], run["seed"], run["rate"], run["true"]] for run in kept if is_silent(run)],
        "covered": f"{sum(run['interval'][0] <= run['true'] <= run['interval'][1] for run in kept)} of {len(kept)}",
        "error": _mean([abs(run["rate"] - run["true"]) for run in kept]),
        "decided_error": _mean([abs(run["rate"] - run["true"]) for run in decided]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None


if __name__ == "__main__":
    main()
