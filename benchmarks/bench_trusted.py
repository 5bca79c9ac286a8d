"""The worth of trusted labels, and the loss of choosing without any, on small cells; test accuracy in per cent.

    trusted   m trusted rows beside the noisy ones. Rivals: the trusted alone (as many steps); eq. (1) chosen among
              three on the m rows and trained on the noisy ones alone; the m rows as plain samples, the best of the
              three by the *test* set, which no user can do
    choice    five methods trained on four fifths of noisy rows; chosen on the last fifth by the likelihood of its noisy
              labels under the estimated T, or by agreement with them; regret against the best by the test set

Two networks each, predictions averaged. ``python -m benchmarks.bench_trusted --output FOLDER``
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.bench_labels import difference
from benchmarks.label_cells import Cell, make_cell
from benchmarks.measure import machine, write_result
from s2e.labels.arrays import arranged
from s2e.labels.audit import SMALL_BATCH, TRAIN
from s2e.labels.choice import noisy_score
from s2e.labels.noise import estimate_noise
from s2e.labels.trusted import FACTORS, N_NETWORKS, candidates, train_with_trusted
from s2e.train.crossfit import Member, Rule, Samples, Stack, stratified_folds
from s2e.train.runtime import prepare_process
from s2e.words import DataError, PlanSpec, TrainSpec, derive_seed, replace

CELLS = ["digits-sym50", "digits-pair45", "digits-asym40", "mnist-sym50", "mnist-pair45", "mnist-asym40", "cifar-human"]
N_NOISY, N_TRUSTED, N_EPOCHS = 900, 300, 30
Indices = NDArray[np.int64]


def main() -> None:
    """Print JSON, or keep it below a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--seeds", default="21,22,23")
    parser.add_argument("--output", type=Path, help="folder of <date>-trusted.json")
    args = parser.parse_args()
    result = measured(args.cells.split(","), [int(seed) for seed in args.seeds.split(",")])
    print(write_result(args.output, "trusted", result) if args.output else json.dumps(result, indent=1))


def measured(names: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    """Every run, and a summary for each cell."""
    prepare_process(PlanSpec())
    runs = []
    for seed in seeds:
        for name in names:
            runs.append(one_run(name, seed))
            print(json.dumps(runs[-1]), flush=True)
    return {"machine": machine(), "seeds": list(seeds), "runs": runs, "cells": summaries(names, runs)}


def one_run(name: str, seed: int) -> dict[str, Any]:
    """Both comparisons, on ``N_NOISY`` noisy rows of a cell and ``N_TRUSTED`` more with their true labels."""
    cell = make_cell(name, seed)
    noisy, trusted = np.arange(N_NOISY), np.arange(N_NOISY, N_NOISY + N_TRUSTED)
    label_S = np.concatenate([cell.given_S[noisy], cell.true_S[trusted]])
    train = replace(TRAIN, batch_size=SMALL_BATCH, n_epochs=N_EPOCHS)
    samples, network = arranged(cell.x_SF[: N_NOISY + N_TRUSTED], label_S, train, cell.n_classes)
    row: dict[str, Any] = {"cell": name, "seed": seed}
    try:
        estimate = estimate_noise(Samples(samples.x[:N_NOISY], label_S[:N_NOISY]), network, train, seed=seed).estimate
    except DataError as error:
        return row | {"refused": str(error)}
    row["rate_error"] = round(estimate.noise_rate - float((label_S[noisy] != cell.true_S[noisy]).mean()), 4)
    fit = train_with_trusted(samples, trusted, network, train, estimate, seed=seed)
    row["trusted"] = {"ours": accuracy(fit.stack, cell)[0], "winner": fit.winner, "cross_fit": fit.accuracy}
    curves = list(candidates(estimate, N_EPOCHS).values())[: len(FACTORS)]
    row["trusted"] |= rivals(cell, samples, noisy, trusted, train, curves, seed)
    row["choice"] = choice(cell, samples, noisy, train, curves[0], np.array(estimate.transition), seed)
    return row


def rivals(
    cell: Cell,
    samples: Samples,
    noisy: Indices,
    trusted: Indices,
    train: TrainSpec,
    curves: Sequence[Rule],
    seed: int,
) -> dict[str, float]:
    """Trusted alone, eq. (1) chosen on the trusted, and the trusted as plain samples."""
    own = derive_seed(seed, "rivals")
    more = N_EPOCHS * len(samples) // len(trusted)
    alone = trained(cell, samples, [Member(trusted, own)], [Rule()], replace(train, n_epochs=more))
    on_noisy = trained(cell, samples, [Member(noisy, own)] * len(curves), curves, train)
    p_KmC = on_noisy.predict(samples.x[trusted]).mean(1)
    right_K = (p_KmC.argmax(-1).numpy() == samples.label_S[trusted]).mean(1)
    plain = trained(cell, samples, [Member(np.arange(len(samples)), own)] * len(curves), curves, train)
    return {
        "trusted_alone": accuracy(alone, cell)[0],
        "chosen_on_trusted": accuracy(on_noisy, cell)[int(right_K.argmax())],
        "plain_best_by_test": max(accuracy(plain, cell)),
    }


def choice(
    cell: Cell, samples: Samples, noisy: Indices, train: TrainSpec, curve: Rule, T_CC: NDArray[np.float64], seed: int
) -> dict[str, Any]:
    """Test accuracy of every method, and which one each criterion takes."""
    fold_S = stratified_folds(samples.label_S[noisy], 5, derive_seed(seed, "choice"))
    kept, validation = noisy[fold_S > 0], noisy[fold_S == 0]
    rules = {
        "cross entropy": Rule(),
        "Co-teaching": curve,
        "Co-teaching, half of tau": Rule(None, tuple(0.5 + 0.5 * np.array(curve.keep_rate))),
        "forward": Rule(np.clip(T_CC, 1e-4, 1)),
        "forward with Co-teaching": Rule(np.clip(T_CC, 1e-4, 1), curve.keep_rate),
    }
    members = [Member(kept, derive_seed(seed, "choice"))] * len(rules)
    stack = trained(cell, samples, members, list(rules.values()), train)
    tested = dict(zip(rules, accuracy(stack, cell), strict=True))
    p_KVC = stack.predict(samples.x[validation]).mean(1).double().numpy()
    p_by_name: Mapping[str, NDArray[np.float64]] = dict(zip(rules, p_KVC, strict=True))
    label_V = samples.label_S[validation]
    taken = {
        "likelihood": max(p_by_name, key=lambda name: noisy_score(p_by_name[name], label_V, T_CC).log_likelihood),
        "agreement": max(p_by_name, key=lambda name: float((p_by_name[name].argmax(1) == label_V).mean())),
    }
    best = max(tested.values())
    return {"test": tested, "taken": taken, "regret": {how: round(best - tested[who], 2) for how, who in taken.items()}}


def trained(cell: Cell, samples: Samples, members: Sequence[Member], rules: Sequence[Rule], train: TrainSpec) -> Stack:
    """A stack after all its epochs."""
    network = arranged(cell.x_SF[:1], cell.given_S[:1], train, cell.n_classes)[1]
    stack = Stack(samples, network, members, train, N_NETWORKS)
    stack.run(rules, train.n_epochs)
    return stack


def accuracy(stack: Stack, cell: Cell) -> list[float]:
    """Test accuracy of each member."""
    p_KBC = stack.predict(torch.from_numpy(cell.test_x_SF)).mean(1)
    return [round(100 * float(right), 2) for right in (p_KBC.argmax(-1).numpy() == cell.test_S).mean(1)]


def summaries(names: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each cell: paired differences with their 95 % interval by Student's t, and mean and largest regret."""
    by_cell = {name: [run for run in runs if run["cell"] == name and "refused" not in run] for name in names}
    return {name: _summary(kept) for name, kept in by_cell.items() if kept}


def _summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [run["trusted"] for run in runs]
    regrets = {how: [run["choice"]["regret"][how] for run in runs] for how in ("likelihood", "agreement")}
    return {
        "n": len(runs),
        "ours_minus_better_of_alone_and_chosen": difference(
            [row["ours"] - max(row["trusted_alone"], row["chosen_on_trusted"]) for row in rows]
        ),
        "ours_minus_plain_best_by_test": difference([row["ours"] - row["plain_best_by_test"] for row in rows]),
        "regret": {how: {"mean": round(float(np.mean(v)), 3), "worst": max(v)} for how, v in regrets.items()},
    }


if __name__ == "__main__":
    main()
