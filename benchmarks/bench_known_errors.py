"""Known errors of the test labels of MNIST and CIFAR-10, looked for by the audits of a job, and by cleanlab, in one
process.

A job has some thousand training rows, with the labels as published, and all 10,000 test rows beside them. Test rows
train nothing: the job's trainings look at them once (``free``), the folds behind its estimate too (``cross_fitted``),
and so do the five folds of cross entropy whose mean prediction cleanlab scores. An error is a row of whose published
label fewer than three of five people said that it is right (Northcutt, Athalye and Mueller 2021): 15 rows of MNIST, 53
of CIFAR-10, and nobody has looked at the rows that no tool suspected. Features are 64 principal components of pixels,
and 128 of random patches. ``python -m benchmarks.bench_known_errors --data cifar10 --seeds 1,2``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.label_cells import ROOT, _cifar, _components, _kept, _mnist, _patches
from benchmarks.measure import machine, write_result
from s2e.data.torchvision_guard import datasets as torchvision_datasets
from s2e.door import parse_job
from s2e.labels.arrays import arranged
from s2e.labels.audit import TRAIN
from s2e.labels.job_audit import audit_of_files
from s2e.local import run
from s2e.train.crossfit import Rule, Stack, fold_members, stratified_folds
from s2e.words import derive_seed, replace

N_FOLDS, LOOKED_AT = 5, (20, 100, 500)
N_CIFAR = 6_000
"""Images of CIFAR-10's training set, the first ones, from which rows are drawn."""
Scores = NDArray[np.float64]
_Rows = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
"""Features of training and of test rows, and their labels."""


def main() -> None:
    """Print JSON, or keep it below a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=tuple(_READERS), default="mnist")
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", type=Path, help="folder of <date>-known-errors.json")
    args = parser.parse_args()
    runs = [one_run(args.data, int(seed), args.rows, args.epochs) for seed in args.seeds.split(",")]
    result = {"machine": machine(), "data": args.data, "n_rows": args.rows, "n_epochs": args.epochs, "runs": runs}
    print(write_result(args.output, "known-errors", result) if args.output else json.dumps(result, indent=1))


def known_errors(data: str) -> NDArray[np.int64]:
    """Rows of a test set."""
    entries = json.loads((ROOT / "label-errors" / f"{data}_mturk.json").read_text())
    return np.array([entry["id"] for entry in entries if entry["mturk"]["given"] < 3])


def _mnist_rows(n_rows: int, seed: int) -> _Rows:
    x, y = _mnist()
    tested = torchvision_datasets().MNIST(str(ROOT), train=False, download=False)
    rows = np.random.default_rng(derive_seed("known errors", seed)).permutation(len(y))[:n_rows]
    test_x = (tested.data.numpy().reshape(len(tested.data), -1) / 255).astype(np.float32)
    return (*_components(x[rows], test_x, 64), y[rows], tested.targets.numpy())


def _cifar_rows(n_rows: int, seed: int) -> _Rows:
    images, y, _ = _cifar()
    tested = torchvision_datasets().CIFAR10(str(ROOT), train=False, download=False)
    own = images[:N_CIFAR]
    x = _kept("cifar-patches-and-tests", lambda: _patches(np.concatenate([own, tested.data])))
    rows = np.random.default_rng(derive_seed("known errors", seed)).permutation(N_CIFAR)[:n_rows]
    return (*_components(x[rows], x[N_CIFAR:], 128), y[rows], np.array(tested.targets))


_READERS: dict[str, Callable[[int, int], _Rows]] = {"mnist": _mnist_rows, "cifar10": _cifar_rows}


def one_run(data: str, seed: int, n_rows: int, n_epochs: int) -> dict[str, Any]:
    """A job on some training rows, and where each score puts the known errors among all test rows."""
    train_x, test_x, train_y, test_y = _READERS[data](n_rows, seed)
    errors = known_errors(data)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        np.savez(root / "a.npz", X=train_x, y=train_y, X_test=test_x, y_test=test_y)
        history, report = run(
            parse_job(_job(seed, n_rows, n_epochs)), data_root=root, output=root, progress=False, workers=1
        )
        models = [result.model for record in history for result in record.results if result.model]
        scores = {score: _of_test(root, models, score) for score in ("free", "cross_fitted")}
    scores["cleanlab"] = _cleanlabs(train_x, train_y, test_x, test_y, seed, n_epochs)
    accuracy = max(row.last_ten for row in report.rows)
    return {"seed": seed, "test_accuracy": accuracy} | {name: verdict(errors, score) for name, score in scores.items()}


def _job(seed: int, n_rows: int, n_epochs: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "data": {"name": "arrays", "params": {"path": "a.npz"}, "n_validation": round(0.15 * n_rows)},
        "train": {
            "network": "mlp_tabular",
            "network_params": {"hidden": [256]},
            "n_epochs": n_epochs,
            "batch_size": TRAIN.batch_size,
        },
        "search": {"n_rounds": 1, "n_trials": 4},
        "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 2, "n_choice_seeds": 1},
        "plan": {"population": 4},
    }


def _of_test(root: Path, models: list[str], score: str) -> Scores:
    """The quality of every test label by a job's audit, in the order of the rows."""
    audit = audit_of_files(root, "search", 0.0, models, score)
    mine = np.flatnonzero(audit.split == "test")
    quality = np.empty(len(mine))
    quality[audit.id[mine]] = audit.label_quality[mine]
    return quality


def _cleanlabs(x: Any, y: Any, test_x: Any, test_y: Any, seed: int, n_epochs: int) -> Scores:
    """cleanlab's self-confidence on the mean prediction of five folds of cross entropy."""
    from cleanlab.rank import get_label_quality_scores  # type: ignore[import-untyped]

    samples, network = arranged(x, y, TRAIN, 10)
    members = fold_members(stratified_folds(y, N_FOLDS, seed), seed, "rival")
    stack = Stack(samples, network, members, replace(TRAIN, n_epochs=n_epochs))
    stack.run([Rule()] * len(members), n_epochs)
    p_BC = stack.predict(network.arrange(torch.from_numpy(test_x))).mean((0, 1)).double().numpy()
    scores: Scores = get_label_quality_scores(test_y, p_BC / p_BC.sum(1, keepdims=True), method="self_confidence")
    return scores


def verdict(errors: NDArray[np.int64], quality: Scores) -> dict[str, Any]:
    """Average precision, area under the curve, and how many errors are among the first rows that a person looks at."""
    wrong = np.zeros(len(quality), dtype=bool)
    wrong[errors] = True
    worst = np.argsort(quality, kind="stable")
    return {
        "ap": round(float(average_precision_score(wrong, -quality)), 4),
        "auc": round(float(roc_auc_score(wrong, -quality)), 4),
        **{f"in_first_{n}": int(wrong[worst[:n]].sum()) for n in LOOKED_AT},
    }


if __name__ == "__main__":
    main()
