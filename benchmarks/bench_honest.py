"""Are the numbers honest that a user of noisy labels gets? ``python -m benchmarks.bench_honest``.

Digits, a share of whose labels is wrong by symmetric noise, are given as labels that nobody vouches for; 500 other rows
with their true labels never come near the product. For each seed (noise, rows, job) a search, a choice of a method
(``s2e.auto``) and the estimator run as their user would run them. Then the truth judges: the estimate of the noise, and
every model that the report compares.

``fixed``: the best rival that nobody searched or chose, picked with the truth: of Co-teaching at the estimated share
and training that keeps everything. ``best`` of a choice: the best of all its candidates, which only the truth can name.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import s2e
from benchmarks.bench_labels import difference
from benchmarks.measure import machine, write_result
from s2e.local import run, spec_of
from s2e.sklearn import NoisyLabelClassifier
from s2e.words import to_json

N_GIVEN, SHARE = 1_297, 0.2
FIXED = ("default", "all", "coteaching", "coteaching, 1.2 tau", "standard")
RIVALS: Mapping[str, Mapping[str, Any]] = {
    "coteaching": {"candidates": ("coteaching",)},
    "standard": {"method": "standard", "n_rounds": 1, "n_trials": 1},
}
Rows = tuple[NDArray[Any], NDArray[Any]]


def digits(seed: int, share: float = SHARE) -> tuple[Rows, NDArray[Any], Rows]:
    """Rows with given labels, the true labels of those, and other rows with true labels."""
    bunch, rng = load_digits(), np.random.default_rng(seed)
    order = rng.permutation(len(bunch.target))
    x, true = bunch.images[order].astype(np.uint8), bunch.target[order]
    wrong = rng.random(len(true)) < share
    given = np.where(wrong, (true + rng.integers(1, 10, len(true))) % 10, true)
    return (x[:N_GIVEN], given[:N_GIVEN]), true[:N_GIVEN], (x[N_GIVEN:], true[N_GIVEN:])


def job_of(seed: int, kind: str) -> dict[str, Any]:
    """A job on the rows as a user would write it."""
    return {
        "kind": kind,
        "seed": seed,
        "data": {"name": "arrays", "params": {"path": "given.npz"}, "n_validation": 260},
        "train": {"network": "mlp_tabular", "network_params": {"hidden": [256]}, "n_epochs": 40, "batch_size": 32},
        "search": {"n_rounds": 4, "n_trials": 6},
        "plan": {"population": 6},
    }


def judged_job(kind: str, seed: int, **changes: Any) -> dict[str, Any]:
    """A job of a kind, and the truth about its numbers; ``changes`` are sections of it."""
    (x, given), true, (x_new, y_new) = digits(seed)
    with TemporaryDirectory() as folder:
        np.savez(Path(folder) / "given.npz", X=x.reshape(len(x), -1), y=given)
        job = {**job_of(seed, kind), **changes}
        history, report = run(spec_of(job, kind), data_root=folder, output=folder, progress=False, workers=1)
        content = json.loads((Path(folder) / kind / f"{kind}.json").read_text())
        last = "retrain" if kind == "search" else "compare"
        accuracy: dict[str, dict[int, float]] = {}
        for record in history:
            for trial, result in zip(record.round.trials, record.results, strict=True):
                if record.round.kind == last and result.model:
                    predicted = s2e.load_model(Path(folder) / result.model).predict(x_new.reshape(len(x_new), -1))
                    right = np.asarray(predicted).astype(str) == y_new.astype(str)
                    accuracy.setdefault(trial.label, {})[trial.repeat] = float(right.mean())
    mine = "searched" if kind == "search" else report.baseline
    return _row(seed, kind, given != true, content["spec"]["data"]["estimate"], accuracy, mine)


def judged_estimator(seed: int, method: str) -> dict[str, Any]:
    """The estimator, and the truth about it; its rivals are Co-teaching at the estimated share, and plain training."""
    (x, given), true, (x_new, y_new) = digits(seed)
    x, x_new = x.reshape(len(x), -1), x_new.reshape(len(x_new), -1)

    def fitted(**settings: Any) -> tuple[NoisyLabelClassifier, float]:
        clf = NoisyLabelClassifier(random_state=seed, **settings).fit(x, given)
        return clf, float((clf.predict(x_new) == y_new).mean())

    clf, mine = fitted(method=method)
    rivals = {name: fitted(**settings, noise_rate=clf.noise_rate_)[1] for name, settings in RIVALS.items()}
    accuracy = {name: {1: value} for name, value in {**rivals, "mine": mine}.items()}
    row = _row(seed, f"estimator, {method}", given != true, to_json(clf.report_["noise"]), accuracy, "mine")
    return {**row, "method": clf.method_}


def _row(
    seed: int,
    what: str,
    wrong: NDArray[np.bool_],
    estimate: Mapping[str, float] | None,
    accuracy: Mapping[str, Mapping[int, float]],
    mine: str,
) -> dict[str, Any]:
    mean = {label: fmean(by_seed.values()) for label, by_seed in accuracy.items()}
    fixed = _best(mean, FIXED)
    pairs = [accuracy[mine][r] - accuracy[fixed][r] for r in accuracy[mine] if r in accuracy[fixed]]
    return {
        "what": what,
        "seed": seed,
        "wrong": round(float(wrong.mean()), 4),
        "estimated": None if estimate is None else round(estimate["noise_rate"], 4),
        "interval": None if estimate is None else [round(estimate["low"], 4), round(estimate["high"], 4)],
        "mine": mine,
        "accuracy": {label: round(value, 4) for label, value in mean.items()},
        "seeds": {label: len(by_seed) for label, by_seed in accuracy.items()},
        "fixed": fixed,
        "minus_fixed": round(fmean(pairs), 4) if pairs else None,
        "half_95": difference(pairs)["half_95"] if pairs else None,
        "best": _best(mean, tuple(mean)),
    }


def _best(mean: Mapping[str, float], among: tuple[str, ...]) -> str:
    return max((label for label in among if label in mean), key=lambda label: mean[label], default="")


RUNS: dict[str, Callable[[int], dict[str, Any]]] = {
    "search": partial(judged_job, "search"),
    "auto": partial(judged_job, "auto"),
    "estimator": partial(judged_estimator, method="auto"),
    "coteaching": partial(judged_estimator, method="coteaching"),
}


def main() -> None:
    """Print JSON, or keep it below a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", default=",".join(RUNS))
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--output", type=Path, help="folder of <date>-honest.json")
    args = parser.parse_args()
    runs = []
    for what in args.what.split(","):
        for seed in map(int, args.seeds.split(",")):
            runs.append(RUNS[what](seed))
            print(json.dumps(runs[-1]), flush=True)
    print(json.dumps(summary := summarised(runs), indent=1))
    if args.output:
        print(write_result(args.output, "honest", {"machine": machine(), "runs": runs, "summary": summary}))


def summarised(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each kind of run the error of the estimate, and the difference to the best fixed rival with its interval."""
    kinds = dict.fromkeys(each["what"] for each in runs)
    return {what: _summary([each for each in runs if each["what"] == what]) for what in kinds}


def _summary(own: list[dict[str, Any]]) -> dict[str, Any]:
    errors = [abs(each["estimated"] - each["wrong"]) for each in own if each["estimated"] is not None]
    pairs = [each["minus_fixed"] for each in own if each["minus_fixed"] is not None]
    return {
        "error": None if not errors else {"mean": fmean(errors), "worst": max(errors)},
        "accuracy": fmean(each["accuracy"][each["mine"]] for each in own),
        "minus_fixed": difference(pairs) if len(pairs) > 1 else pairs,
    }


if __name__ == "__main__":
    main()
