"""The audits of a finished job, free and cross-fitted, against cleanlab on the same rows, in one process.

For every cell and seed a whole job runs (search, tuning, choice, comparison; noise unknown), as a user would run it for
its schedule. Then, by average precision of finding the wrong labels among its training rows:

    free          margins of the job's own trainings: no training extra
    cross_fitted  the folds behind the job's estimate of its noise
    cleanlab      2.9's five folds of cross entropy on these rows, 120 passes, the best of two scores at two moments,
                  picked with the truth

``python -m benchmarks.bench_audit --output FOLDER``: some 20 CPU minutes. A plain training's margins stand beside as
``plain``: those of the job's R = 1 row alone. ``free_validation``, ``cross_fitted_test`` and so on are of the rows that
validate, and of the test rows under the same noise; they train nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace as changed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench_labels import cleanlabs, difference, precision
from benchmarks.label_cells import Cell, make_cell
from benchmarks.measure import machine, write_result
from s2e.data.noise import corrupt
from s2e.door import parse_job
from s2e.labels.arrays import arranged
from s2e.labels.audit import SMALL, SMALL_BATCH, TRAIN
from s2e.labels.job_audit import audit_of_files
from s2e.labels.kept import SPLITS
from s2e.local import run
from s2e.words import RoundRecord, replace

CELLS = "digits-sym20,digits-sym50,digits-pair45,mnist-sym50,mnist-pair45,news-sym50,news-pair40"
N_EPOCHS, PASSES, SHARE_VALIDATED = 30, 120, 0.15


def main() -> None:
    """Print JSON, or keep it below a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=CELLS)
    parser.add_argument("--seeds", default="21,22,23")
    parser.add_argument("--without-cleanlab", action="store_true")
    parser.add_argument("--output", type=Path, help="folder of <date>-audit.json")
    args = parser.parse_args()
    runs = []
    for seed in map(int, args.seeds.split(",")):
        for name in args.cells.split(","):
            runs.append(one_run(name, seed, with_rival=not args.without_cleanlab))
            print(json.dumps(runs[-1]), flush=True)
    result = {"machine": machine(), "runs": runs, "cells": summarised(runs)}
    print(write_result(args.output, "audit", result) if args.output else json.dumps(result["cells"], indent=1))


def one_run(name: str, seed: int, *, with_rival: bool = True) -> dict[str, Any]:
    """A job and its audits on one cell, and cleanlab."""
    cell = make_cell(name, seed)
    n_rows = len(cell.given_S)
    test_given_S = cell.test_S if cell.injected_CC is None else corrupt(cell.test_S, cell.injected_CC, seed + 1_000)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        np.savez(root / "a.npz", X=cell.x_SF, y=cell.given_S, X_test=cell.test_x_SF, y_test=test_given_S)
        job = {
            "seed": seed,
            "data": {"name": "arrays", "params": {"path": "a.npz"}, "n_validation": round(SHARE_VALIDATED * n_rows)},
            "train": {
                "network": "mlp_tabular",
                "network_params": {"hidden": [256]},
                "n_epochs": N_EPOCHS,
                "batch_size": TRAIN.batch_size if n_rows >= SMALL else SMALL_BATCH,
            },
            "search": {"n_rounds": 3, "n_trials": 6},
            "report": {"n_seeds": 3, "max_seeds": 3, "n_candidates": 2, "n_choice_seeds": 1},
            "plan": {"population": 6},
        }
        history, _ = run(parse_job(job), data_root=root, output=root, progress=False, workers=1)
        models = [result.model for record in history for result in record.results if result.model]
        audits = {score: audit_of_files(root, "search", 0.0, models, score) for score in ("free", "cross_fitted")}
        audits["plain"] = audit_of_files(root, "search", 0.0, _plain(history), "free")
    precisions = {}
    for score, audit in audits.items():
        for split in SPLITS:
            wrong_S = (test_given_S != cell.test_S) if split == "test" else (cell.given_S != cell.true_S)
            mine = np.flatnonzero(audit.split == split)
            precisions[_named(score, split)] = precision(wrong_S[audit.id[mine]], -audit.label_quality[mine])
    trained = audits["free"].split == "train"
    rival = {"cleanlab": _cleanlab(cell, np.sort(audits["free"].id[trained]), seed)} if with_rival else {}
    return {
        "cell": name,
        "seed": seed,
        "n_rows": int(trained.sum()),
        "n_trainings": len(models),
        **precisions,
        **rival,
    }


def _named(score: str, split: str) -> str:
    return score if split == "train" else f"{score}_{split}"


def _cleanlab(cell: Cell, rows: NDArray[Any], seed: int) -> float:
    """Its average precision on these rows."""
    kept = changed(cell, x_SF=cell.x_SF[rows], given_S=cell.given_S[rows], true_S=cell.true_S[rows])
    train = TRAIN if len(cell.given_S) >= SMALL else replace(TRAIN, batch_size=SMALL_BATCH)
    samples, _ = arranged(kept.x_SF, kept.given_S, train, cell.n_classes)
    rival, _ = cleanlabs(kept, samples, train, seed, PASSES)
    return float(rival["ap"])


def _plain(history: Sequence[RoundRecord]) -> list[str]:
    """Models of the plain trainings: R = 1."""
    return [
        result.model
        for record in history
        for trial, result in zip(record.round.trials, record.results, strict=True)
        if trial.label == "all" and result.model
    ]


def summarised(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means of each cell, and the differences to cleanlab with their intervals."""
    cells: dict[str, list[dict[str, Any]]] = {}
    for each in runs:
        cells.setdefault(each["cell"], []).append(each)
    names = tuple(_named(score, split) for split in SPLITS for score in ("free", "cross_fitted", "plain"))
    has_rival = all("cleanlab" in each for each in runs)
    return {
        cell: {
            name: round(float(np.mean([each[name] for each in own])), 4)
            for name in (*names, *(("cleanlab",) if has_rival else ()))
        }
        | {
            f"{name}_minus_cleanlab": difference([each[name] - each["cleanlab"] for each in own])
            for name in (names[:3] if has_rival else ())
        }
        for cell, own in cells.items()
    }


if __name__ == "__main__":
    main()
