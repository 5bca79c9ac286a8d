"""The worth of trusted rows in whole jobs: ``kind = "auto"`` with them, beside what else could be done with them.

900 noisy rows and m trusted ones, dense network, 30 epochs; the first job estimates the noise and the others are told.
Test accuracy in per cent, mean over the fresh seeds of each job:

    ours      the winner of auto: trusted rows rank in turns, noisy ones beside them, and all train in the end
    alone     the trusted rows and nothing else
    together  all rows alike, by cross entropy
    gold      gold loss correction by the estimated matrix, where there is one
    anchored  Co-teaching by eq. (1) without a search that always keeps trusted rows: the best of three by the halving
    today     eq. (1) at 1, 1.2 or 1.4 tau, chosen by all m rows, trained on the noisy ones alone
    plain     the same three with the trusted rows as plain samples, the best of them by the *test* set, which no user
              can do

The rows of alone, together, gold and anchored are those of the job's own report. ``--log`` keeps a line for each run.

``python -m benchmarks.bench_trusted_jobs --output FOLDER``
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from benchmarks.bench_labels import difference
from benchmarks.label_cells import Cell, make_cell
from benchmarks.measure import logged, machine, write_result
from s2e.door import parse_job
from s2e.local import run
from s2e.prepare import prepared
from s2e.words import CompareReport, DataError, JobSpec, replace

CELLS = ["digits-sym50", "digits-pair45", "digits-asym40", "mnist-sym50", "mnist-pair45", "mnist-asym40", "cifar-human"]
N_NOISY, N_EPOCHS, N_SEEDS = 900, 30, 3
FACTORS = (1.0, 1.2, 1.4)
ROWS = {"alone": "trusted_only", "together": "standard", "gold": "gold", "anchored": "anchored"}
"""Methods whose best candidate is a row of every report."""


def main() -> None:
    """Print JSON, or keep it below a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--seeds", default="51,52,53")
    parser.add_argument("--trusted", type=int, default=300)
    parser.add_argument("--output", type=Path, help="folder of <date>-trusted-jobs.json")
    parser.add_argument("--log", type=Path, help="a file of runs, a JSON line each; those in it are not run again")
    args = parser.parse_args()
    cells = [(name, seed) for seed in map(int, args.seeds.split(",")) for name in args.cells.split(",")]
    runs = logged(cells, args.log, lambda name, seed: one_run(make_cell(name, seed), seed, args.trusted))
    result = {"machine": machine(), "n_trusted": args.trusted, "runs": runs, "cells": summaries(runs)}
    if args.output:
        print(write_result(args.output, "trusted-jobs", result))


def one_run(cell: Cell, seed: int, m: int) -> dict[str, Any]:
    """The four, on one draw of a cell."""
    began_s = process_time()
    row: dict[str, Any] = {"cell": cell.name, "seed": seed, "m": m, "noise_rate": round(cell.noise_rate, 3)}
    label_S = np.concatenate([cell.given_S[:N_NOISY], cell.true_S[N_NOISY : N_NOISY + m]])
    with tempfile.TemporaryDirectory() as root:
        np.savez(
            Path(root) / "cell.npz",
            X=cell.x_SF[: N_NOISY + m],
            y=label_S,
            X_test=cell.test_x_SF,
            y_test=cell.test_S,
            sure=np.arange(N_NOISY + m) >= N_NOISY,
        )
        try:
            spec = prepared(_job("auto", seed, {}), root)
        except DataError as error:
            return row | {"refused": str(error)}
        if spec.data.estimate is None:
            return row | {"refused": spec.data.unestimated}
        row["estimated"] = round(spec.data.estimate.noise_rate, 3)
        report = _report(spec, root)
        row |= {"winner": report.baseline, "ours": _mean(report, report.baseline)}
        labels = {of.method: of.label for of in report.rows}
        row |= {name: _mean(report, labels[method]) for name, method in ROWS.items() if method in labels}
        curves = {"entries": [_curve(factor) for factor in FACTORS], "n_seeds": N_SEEDS}
        known = {"compare": curves, "report": {"tau": spec.data.estimate.noise_rate}}
        on_noisy = _report(_job("compare", seed, known, n_validation=m), root)
        best = max(on_noisy.rows, key=lambda of: of.validation.mean if of.validation and of.validation.mean else 0)
        row["today"] = _mean(on_noisy, best.label)
        plain = _report(_job("compare", seed, known, n_validation=0), root)
        row["plain"] = max(_mean(plain, of.label) for of in plain.rows)
    return row | {"cpu_s": round(process_time() - began_s, 1)}


def _job(kind: str, seed: int, more: dict[str, Any], n_validation: int | None = None) -> JobSpec:
    trusted = {"column": "sure", "n_test": 0, "n_validation": n_validation}
    return parse_job(
        {
            "kind": kind,
            "seed": seed,
            "data": {"name": "arrays", "params": {"path": "cell.npz"}, "trusted": trusted,
                     "n_validation": N_NOISY // 5},
            "train": {"network": "mlp_tabular", "network_params": {"hidden": [256]}, "n_epochs": N_EPOCHS,
                      "batch_size": 32},
            "compare": {"n_seeds": N_SEEDS},
            **more,
        }
    )  # fmt: skip


def _curve(factor: float) -> dict[str, Any]:
    return {"method": "coteaching", "label": f"{factor:g}", "schedule": {"kind": "scaled", "factor": factor}}


def _report(spec: JobSpec, root: str) -> CompareReport:
    report = run(replace(spec, name=""), data_root=root, progress=False, workers=1)[1]
    assert isinstance(report, CompareReport)
    return report


def _mean(report: CompareReport, label: str) -> float:
    """Test accuracy of the last ten epochs."""
    row = next(of for of in report.rows if of.label == label)
    assert row.last_ten is not None
    assert row.last_ten.mean is not None
    return round(100 * row.last_ten.mean, 2)


def summaries(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Paired differences by kind of noise, over its cells and seeds, with their 95 % interval by Student's t."""
    whole = [one for one in runs if "ours" in one]
    kinds = dict.fromkeys(one["cell"].split("-")[1] for one in whole)
    of = {kind: [one for one in whole if one["cell"].endswith(f"-{kind}")] for kind in kinds}
    return {
        kind: {
            "ours": difference([one["ours"] for one in rows]),
            "over_better_of_alone_and_today": difference(
                [one["ours"] - max(one["alone"], one["today"]) for one in rows]
            ),
            "over_plain_best_by_test": difference([one["ours"] - one["plain"] for one in rows]),
        }
        for kind, rows in of.items()
    }


if __name__ == "__main__":
    main()
