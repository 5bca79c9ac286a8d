"""Does a quarter of the samples, over all epochs, rank schedules as the full training does?

    python -m benchmarks.bench_rung [--case mlp-mnist model1-cifar10] [--tiny] [--out FILE]

For each case and noise, schedules drawn uniformly from the space ``s2e`` are trained three times: in full, on a quarter
of the samples, and in full with other seeds, which is the ceiling of any ranking. Reported: Spearman's correlation of
the objectives with those of the full training; in how many batches of six the best two of the rung hold the full
training's winner; and the mean validation accuracy that is lost by training only these two in full.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.measure import machine
from benchmarks.real_search import trained
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.search.spaces import S2E
from s2e.search.subset_rung import DATA_SHARE
from s2e.train.runtime import has_fast_bfloat16
from s2e.words import FULL, Fidelity, JobSpec, Round, TrialSpec, derive_seed

CASES: dict[str, dict[str, Any]] = {
    "mlp-mnist": {"data": {"name": "mnist", "split": "s2e"}, "train": {"network": "mlp"}},
    "model1-cifar10": {
        "data": {"name": "cifar10", "split": "s2e", "n_train": 12_800},
        "train": {"network": "model1"},
    },
}
NOISES = {"sym50": {"kind": "symmetric", "noise_rate": 0.5}, "pair45": {"kind": "pair", "noise_rate": 0.45}}
N_SCHEDULES, BATCH, KEPT, N_EPOCHS = 12, 6, 2, 20


def objectives(spec: JobSpec, curves: np.ndarray[Any, Any], fidelity: Fidelity, seed: int) -> np.ndarray[Any, Any]:
    """1 - validation accuracy over the last epochs of each schedule (S,). Batches of six share their data order."""
    trials = [
        TrialSpec(
            0, k, "search", 0, tuple(curve.tolist()),
            init_seed=derive_seed(seed, "rung init", k), order_seed=derive_seed(seed, "rung order", k // BATCH),
            noise_seed=derive_seed(0, "rung noise"), fidelity=fidelity,
        )
        for k, curve in enumerate(curves)
    ]  # fmt: skip
    results = [
        result
        for start in range(0, len(trials), BATCH)
        for result in trained(loop.populations(spec, Round(0, "search", tuple(trials[start : start + BATCH]))))
    ]
    return np.array([1.0 if r.objective is None else r.objective for r in results])


def agreement(rung_S: np.ndarray[Any, Any], full_S: np.ndarray[Any, Any]) -> dict[str, float]:
    """Rank correlation, and what keeping the best of each batch of the rung costs against the full training."""
    kept, lost = [], []
    for start in range(0, len(full_S), BATCH):
        rung, full = rung_S[start : start + BATCH], full_S[start : start + BATCH]
        best = np.argsort(rung, kind="stable")[:KEPT]
        kept.append(int(full.argmin() in best))
        lost.append(float(full[best].min() - full.min()))
    return {
        "spearman": round(float(spearmanr(rung_S, full_S).statistic), 3),
        "winner_kept": round(float(np.mean(kept)), 3),
        "points_lost": round(100 * float(np.mean(lost)), 2),
    }


def measure(case: str, noise: str, tiny: bool) -> dict[str, Any]:
    n_schedules, n_epochs = (6, 2) if tiny else (N_SCHEDULES, N_EPOCHS)
    what = CASES[case]
    data = {**what["data"], "noise": NOISES[noise], **({"n_train": 2_560} if tiny else {})}
    plan = {"dtype": "bfloat16" if has_fast_bfloat16() else "float32", "population": BATCH, "threads": 1}
    spec = parse_job({"data": data, "train": {**what["train"], "n_epochs": n_epochs}, "plan": plan})
    curves = S2E.curves(S2E.sample(S2E.initial_theta(), np.random.default_rng(0), n_schedules), n_epochs)
    start_s = time.process_time()
    full = objectives(spec, curves, FULL, 0)
    full_s = time.process_time() - start_s
    rung = objectives(spec, curves, Fidelity(data_share=DATA_SHARE), 1)
    rung_s = time.process_time() - start_s - full_s
    return {
        "rung": agreement(rung, full),
        "other_seed": agreement(objectives(spec, curves, FULL, 2), full),
        "cost_of_rung": round(rung_s / full_s, 3),
        "validation_accuracy": [round(100 * (1 - float(value)), 2) for value in np.quantile(full, (1.0, 0.5, 0.0))],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.bench_rung", description=__doc__)
    options.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES))
    options.add_argument("--tiny", action="store_true", help="a few short trials, to see that it runs")
    options.add_argument("--out", type=Path, help="write the result there as JSON")
    chosen = options.parse_args(arguments)
    result: dict[str, Any] = {"machine": machine(), "n_schedules": N_SCHEDULES, "n_epochs": N_EPOCHS, "cases": {}}
    for case in chosen.case:
        for noise in NOISES:
            result["cases"][f"{case}-{noise}"] = measured = measure(case, noise, chosen.tiny)
            print(f"{case}-{noise}", json.dumps(measured), flush=True)
            if chosen.out:
                chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
