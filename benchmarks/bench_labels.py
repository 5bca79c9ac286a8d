"""The noise estimate and the label audit on small cells, cleanlab at equal compute beside them, in one process.

For every cell and seed:

    noise     error of the rate, total variation of T, interval, alarms; confident learning on the rival's predictions
    audit     average precision of finding the wrong labels, and cleanlab's: five folds of cross entropy, as many
              initial weights (predictions averaged) as cost at least what the audit cost, the best of two scores at
              two moments, picked with the truth
    forward   test accuracy of forward correction by the estimated T, the true one and confident learning's, paired

Cost is counted in passes of one network over all rows. ``python -m benchmarks.bench_labels --output FOLDER`` runs for
about ten CPU minutes; ``--cells untouched`` are the data sets that were looked at once, after all was fixed.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.metrics import average_precision_score

from benchmarks.label_cells import Cell, make_cell
from benchmarks.measure import machine, write_result
from s2e.data.estimate import confident_transition, noise_rate_of
from s2e.labels.arrays import arranged
from s2e.labels.audit import SMALL, SMALL_BATCH, TRAIN
from s2e.labels.judged import judged
from s2e.labels.noise import estimate_noise
from s2e.train.crossfit import Member, Rule, Samples, Stack, fold_members, stratified_folds
from s2e.train.runtime import prepare_process
from s2e.words import DataError, PlanSpec, TrainSpec, derive_seed, replace

CELLS = {
    "developed": [
        *("digits-sym20", "digits-pair45", "digits-asym40", "mnist-sym50", "mnist-pair45", "mnist-asym40"),
        *("cifar-human", "news-sym50", "news-pair40", "phoneme-sym30"),
    ],
    "untouched": ["fashion-sym40", "fashion-pair45", "fashion-asym40", "adult-sym30"],
    "tables": [
        *("phoneme-sym20", "phoneme-sym30", "phoneme-asym30", "banknote-sym30", "banknote-asym30"),
        *("breast-sym20", "breast-asym30", "marital-sym30", "marital-pair40", "occupation-sym30"),
    ],
    "untouched-tables": [
        *("adult-sym20", "adult-sym30", "adult-asym30", "ionosphere-sym20", "ionosphere-asym30"),
        *("wine-sym30", "relationship-sym30", "relationship-pair40"),
    ],
}
N_FOLDS, N_EPOCHS, N_INITS = 5, 30, 2
Matrix = NDArray[np.float64]


def main() -> None:
    """Print JSON, or keep it below a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="developed", help="developed, untouched, or names with commas")
    parser.add_argument("--seeds", default="11,12,13")
    parser.add_argument("--without-forward", action="store_true")
    parser.add_argument("--output", type=Path, help="folder of <date>-labels-<cells>.json")
    args = parser.parse_args()
    names = CELLS.get(args.cells, args.cells.split(","))
    result = measured(names, [int(seed) for seed in args.seeds.split(",")], with_forward=not args.without_forward)
    if args.output:
        print(write_result(args.output, f"labels-{args.cells if args.cells in CELLS else 'some'}", result))
    else:
        print(json.dumps(result, indent=1))


def measured(names: Sequence[str], seeds: Sequence[int], *, with_forward: bool = True) -> dict[str, Any]:
    """Every run, and a summary for each cell."""
    prepare_process(PlanSpec())
    runs = []
    for seed in seeds:
        for name in names:
            runs.append(one_run(name, seed, with_forward=with_forward))
            print(json.dumps(runs[-1]), flush=True)
    return summarised(runs)


def one_run(name: str, seed: int, *, with_forward: bool = True) -> dict[str, Any]:
    """The comparisons on one cell."""
    cell = make_cell(name, seed)
    train = TRAIN if len(cell.given_S) >= SMALL else replace(TRAIN, batch_size=SMALL_BATCH)
    samples, network = arranged(cell.x_SF, cell.given_S, train, cell.n_classes)
    row: dict[str, Any] = {"cell": name, "seed": seed, "n_rows": len(samples), "noise_rate": round(cell.noise_rate, 4)}
    begun = process_time()
    try:
        fit = estimate_noise(samples, network, train, n_folds=N_FOLDS, seed=seed)
    except DataError as error:
        return row | {"refused": str(error)}
    row |= {"cpu_s": round(process_time() - begun, 2), "passes": fit.estimate.n_epochs}
    estimate, wrong_S = fit.estimate, cell.given_S != cell.true_S
    T_CC = np.array(estimate.transition)
    row["noise"] = {
        "rate_error": round(estimate.noise_rate - cell.noise_rate, 4),
        "interval": [round(edge, 4) for edge in estimate.interval],
        "covered": estimate.interval[0] <= cell.noise_rate <= estimate.interval[1],
        "tv": total_variation(T_CC, cell),
        "worst_row": round(float(0.5 * np.abs(T_CC - cell.T_CC).sum(1).max()), 4),
        "kind": estimate.kind,
        "alarms": [alarm.code for alarm in estimate.alarms],
        "starts": {start: round(rate, 4) for start, rate in estimate.starts.items()},
    }
    audit = judged(fit, cell.given_S, np.arange(cell.n_classes), np.empty(0, dtype=np.int64))
    rival, p_SC = cleanlabs(cell, samples, train, seed, estimate.n_epochs)
    row["audit"] = {
        "over_plain": round(fit.over_plain, 2),
        "ap": precision(wrong_S, -audit.label_quality),
        "ap_probability": precision(wrong_S, audit.probability_wrong),
        "ap_margin": precision(wrong_S, -fit.margin_S),
        "calibration_error": calibration_error(audit.probability_wrong, wrong_S),
        "right_decisions": round(float((audit.is_label_issue == wrong_S).mean()), 4),
        "cleanlab": rival,
    }
    confident_CC = confident_transition(p_SC, cell.given_S)
    row["confident"] = {
        "rate_error": round(noise_rate_of(confident_CC, cell.given_S) - cell.noise_rate, 4),
        "tv": total_variation(confident_CC, cell),
    }
    if with_forward:
        matrices = {"estimated": T_CC, "true": cell.T_CC, "confident": confident_CC}
        row["forward"] = forward(cell, samples, train, seed, matrices)
    return row


def cleanlabs(
    cell: Cell, samples: Samples, train: TrainSpec, seed: int, passes: float
) -> tuple[dict[str, Any], Matrix]:
    """The best of cleanlab's scores on cross-fitted cross entropy, its cost, and the predictions after all epochs."""
    from cleanlab.rank import get_label_quality_scores  # type: ignore[import-untyped]

    per_fit = N_EPOCHS * (N_FOLDS - 1)
    n_inits = max(1, math.ceil(passes / per_fit))
    fold_S = stratified_folds(cell.given_S, N_FOLDS, seed)
    members = [each for i in range(n_inits) for each in fold_members(fold_S, seed, f"rival {i}")]
    spec = replace(train, n_epochs=N_EPOCHS)
    stack = Stack(samples, arranged(cell.x_SF, cell.given_S, train, cell.n_classes)[1], members, spec)
    p_by_epoch = [stack.run([Rule()] * len(members), 1, n_averaged=1).combined(len(samples)) for _ in range(N_EPOCHS)]
    agreement = [float((p_SC.argmax(1) == cell.given_S).mean()) for p_SC in p_by_epoch]
    moments = {"last": p_by_epoch[-1], "early": p_by_epoch[int(np.argmax(agreement))]}
    wrong_S = cell.given_S != cell.true_S
    scores = {
        f"{method} {moment}": precision(
            wrong_S, -get_label_quality_scores(cell.given_S, p_SC / p_SC.sum(1, keepdims=True), method=method)
        )
        for moment, p_SC in moments.items()
        for method in ("self_confidence", "normalized_margin")
    }
    return {"ap": max(scores.values()), "passes": per_fit * n_inits, "scores": scores}, moments["early"]


def forward(cell: Cell, samples: Samples, train: TrainSpec, seed: int, matrices: dict[str, Matrix]) -> dict[str, float]:
    """Test accuracy in per cent, mean over the same initial weights for every matrix."""
    seeds = [derive_seed(seed, "forward", i) for i in range(N_INITS)]
    rows = np.arange(len(samples))
    spec = replace(train, n_epochs=N_EPOCHS)
    network = arranged(cell.x_SF, cell.given_S, train, cell.n_classes)[1]
    stack = Stack(samples, network, [Member(rows, s) for _ in matrices for s in seeds], spec)
    stack.run([Rule(np.clip(T_CC, 1e-4, 1)) for T_CC in matrices.values() for _ in seeds], N_EPOCHS)
    p_KBC = stack.predict(torch.from_numpy(cell.test_x_SF))[:, 0]
    right_K = (p_KBC.argmax(-1).numpy() == cell.test_S).mean(1).reshape(len(matrices), -1).mean(1)
    return {name: round(100 * float(right), 2) for name, right in zip(matrices, right_K, strict=True)}


def total_variation(T_CC: Matrix, cell: Cell) -> float:
    """Mean over classes, from the realised matrix."""
    return round(float(0.5 * np.abs(T_CC - cell.T_CC).sum(1).mean()), 4)


def precision(wrong_S: NDArray[np.bool_], score_S: NDArray[Any]) -> float:
    """Average precision."""
    return round(float(average_precision_score(wrong_S, score_S)), 4)


def calibration_error(probability_S: Matrix, wrong_S: NDArray[np.bool_], n_bins: int = 10) -> float:
    """Mean over rows of |mean probability - share of wrong labels| in their tenth of [0, 1]."""
    bin_S = np.minimum((probability_S * n_bins).astype(int), n_bins - 1)
    gaps = [
        abs(float(probability_S[bin_S == b].mean() - wrong_S[bin_S == b].mean())) * float((bin_S == b).mean())
        for b in np.unique(bin_S)
    ]
    return round(sum(gaps), 4)


def summarised(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The runs, and a summary of each cell and of each kind of noise over its cells."""
    cells = {run["cell"]: [each for each in runs if each["cell"] == run["cell"]] for run in runs}
    kinds: dict[str, list[dict[str, Any]]] = {}
    for name, own in cells.items():
        kinds.setdefault(name.partition("-")[2].rstrip("0123456789"), []).extend(own)
    return {
        "machine": machine(),
        "runs": list(runs),
        "cells": {name: _summary(own) for name, own in cells.items()},
        "kinds": {kind: _summary(own) for kind, own in kinds.items()},
    }


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    kept = [run for run in runs if "refused" not in run]
    if not kept:
        return {"n_refused": len(runs)}
    forward = [run["forward"] for run in kept if "forward" in run]
    rate_errors = [abs(run["noise"]["rate_error"]) for run in kept]
    return {
        "n_refused": len(runs) - len(kept),
        "passes": _mean([run["passes"] for run in kept]),
        "rate_error": {"mean": _mean(rate_errors), "worst": max(rate_errors)},
        "confident_rate_error": _mean([abs(run["confident"]["rate_error"]) for run in kept]),
        "tv": {"mean": _mean([run["noise"]["tv"] for run in kept]), "worst": max(run["noise"]["tv"] for run in kept)},
        "confident_tv": _mean([run["confident"]["tv"] for run in kept]),
        "covered": f"{sum(run['noise']['covered'] for run in kept)} of {len(kept)}",
        "ap": _mean([run["audit"]["ap"] for run in kept]),
        "cleanlab_ap": _mean([run["audit"]["cleanlab"]["ap"] for run in kept]),
        "ap_minus_cleanlab": difference([run["audit"]["ap"] - run["audit"]["cleanlab"]["ap"] for run in kept]),
        "calibration_error": _mean([run["audit"]["calibration_error"] for run in kept]),
        **(
            {
                f"forward_minus_{other}": difference([each["estimated"] - each[other] for each in forward])
                for other in ("true", "confident")
            }
            if forward
            else {}
        ),
    }


def difference(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, half of its 95 % interval (None for a single value), and the smallest."""
    n = len(values)
    half = None
    if n > 1:
        half = round(float(student.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n), 4)
    return {"mean": _mean(values), "half_95": half, "smallest": round(min(values), 4), "n": n}


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)


if __name__ == "__main__":
    main()
