"""The real objective: searches of 60 trainings each on a small MNIST, then fresh-seed trainings of what they recommend.

    S2E_DATA_ROOT=... python -m benchmarks.real_search --results benchmarks/results [--repeats 5] [--searches NAME ...]

The data: the first 4,000 training and 2,000 test images of MNIST, averaged to 14 x 14 pixels so that one core does it
in minutes; 1,000 of them train (50 % symmetric or 45 % pair noise) and 500 validate. Co-teaching, MLP, 20 epochs. A
search is that of a job with K = 6, M = 10; its repeats differ in everything drawn, the noise of the labels included.
The searches of a repeat have one seed, so their rounds share noise, data order and initial weights, and train together.

What a search recommends (lowest posterior mean) is then trained four more times, on new initial weights, data orders
and noise draws, beside the default eq. (1), eq. (1) with 1.2 tau, and R = 1, all on the same seeds. ``eq1`` is eq. (1)
tuned with the same 60 trainings. Intervals are over repeats (Student t), each the mean of its four trainings.

The result is written after every repeat, and a second call goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.measure import machine
from s2e.data.root import DATA_ROOT_VARIABLE
from s2e.door import parse_job
from s2e.jobs.loop import next_round, populations
from s2e.jobs.search import recommend_from
from s2e.jobs.sequential import interval
from s2e.parts import DATASETS
from s2e.schedule import coteaching_keep_rate
from s2e.train.trial import PopulationEnd, train_population
from s2e.words import JobSpec, Population, Round, RoundRecord, TrialResult, TrialSpec, derive_seed, replace, to_json

NOISES = {"sym50": ("symmetric", 0.5), "pair45": ("pair", 0.45)}
SEARCHES: dict[str, dict[str, Any]] = {
    "model_newton": {"searcher": "model_newton"},
    "random": {"searcher": "random"},
    "tpe": {"searcher": "tpe"},
    "newton_literal": {"searcher": "newton_literal"},
    "eq1": {"searcher": "model_newton", "space": "coteaching"},
    "extended": {"searcher": "model_newton", "space": "s2e_extended"},
    "learning_rate": {
        "searcher": "model_newton",
        "parameters": {"train.learning_rate": {"kind": "log", "low": 1e-3, "high": 1.6e-2}},
    },
}
"""The space searched: ``extended`` in Table 1 and eq. (1) together, ``learning_rate`` in Table 1 with the step size."""
N_TRAIN_FILE, N_TEST_FILE = 4_000, 2_000
N_FRESH = 4
RAMP = 5
"""t_k of the default eq. (1): a quarter of the epochs."""


def small_mnist(target: Path) -> None:
    """Write the small MNIST in MNIST's own file format below a data root."""
    whole, folder = (
        DATASETS["mnist"].load()(os.environ.get(DATA_ROOT_VARIABLE)),
        target / "MNIST" / "raw",
    )
    folder.mkdir(parents=True)
    parts = (
        ("train", whole.train_images[:N_TRAIN_FILE], whole.train_labels),
        ("t10k", whole.test_images[:N_TEST_FILE], whole.test_labels),
    )
    for name, images, labels in parts:
        n = len(images)
        small = images.numpy().reshape(n, 14, 2, 14, 2).mean(axis=(2, 4)).round().astype(np.uint8)
        header, label_header = struct.pack(">IIII", 2051, n, 14, 14), struct.pack(">II", 2049, n)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + small.tobytes())
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(label_header + labels[:n].numpy().astype(np.uint8).tobytes())


def job(noise: str, search: str, repeat: int, n_rounds: int) -> JobSpec:
    """The search as a job."""
    kind, noise_rate = NOISES[noise]
    return parse_job(
        {
            "seed": repeat,
            "data": {
                "name": "mnist",
                "n_train": 1_000,
                "n_validation": 500,
                "split_seed": repeat,
                "noise": {"kind": kind, "noise_rate": noise_rate},
            },
            "train": {"n_epochs": 20, "batch_size": 100, "learning_rate": 4e-3},
            "search": {"n_rounds": n_rounds, "n_trials": 6, **SEARCHES[search]},
            "plan": {"population": 60, "dtype": "float32"},
        }
    )


def trained(groups: Iterable[Population], root: str | None = None) -> list[TrialResult]:
    """The results of all populations, by k."""
    results: list[TrialResult] = []
    for population in groups:
        *_, end = train_population(population, data_root=root)
        assert isinstance(end, PopulationEnd)
        results += end.results
    return sorted(results, key=lambda result: result.k)


def searched(specs: dict[str, JobSpec], root: str) -> dict[str, Any]:
    """The searches of one repeat, round by round together: every objective, and the trial each recommends."""
    histories: dict[str, list[RoundRecord]] = {name: [] for name in specs}
    some = next(iter(specs.values()))
    for m in range(some.search.n_rounds):
        rounds = {name: _next(spec, histories[name]) for name, spec in specs.items()}
        pairs = [(name, trial) for name, round_ in rounds.items() for trial in round_.trials]
        numbered = tuple(replace(trial, k=i) for i, (_, trial) in enumerate(pairs))
        results = trained(populations(some, Round(m, "search", numbered)), root)
        own = [(name, replace(result, k=trial.k)) for (name, trial), result in zip(pairs, results, strict=True)]
        for name, round_ in rounds.items():
            histories[name].append(RoundRecord(round_, tuple(result for owner, result in own if owner == name)))
    return {name: _outcome(spec, histories[name]) for name, spec in specs.items()}


def _next(spec: JobSpec, history: list[RoundRecord]) -> Round:
    round_ = next_round(spec, history)
    assert round_ is not None
    return round_


def _outcome(spec: JobSpec, history: list[RoundRecord]) -> dict[str, Any]:
    place = recommend_from(spec, history)
    assert place is not None
    trial = history[place[0]].round.trials[place[1]]
    return {
        "objectives": [[result.objective for result in record.results] for record in history],
        "keep_rate": list(trial.keep_rate),
        "train": dict(trial.train),
    }


def fresh(noise: str, repeat: int, searches: dict[str, Any], root: str) -> dict[str, list[float | None]]:
    """Test accuracy of each recommended schedule and of the fixed ones, on the same N_FRESH seeds."""
    spec = job(noise, "random", repeat, 1)
    n_epochs, tau = spec.train.n_epochs, NOISES[noise][1]
    rows: dict[str, tuple[list[float], dict[str, Any]]] = {
        name: (search["keep_rate"], search["train"]) for name, search in searches.items()
    }
    rows["default"] = (list(coteaching_keep_rate(n_epochs, tau, RAMP)), {})
    rows["1.2 tau"] = (list(coteaching_keep_rate(n_epochs, 1.2 * tau, RAMP)), {})
    rows["R = 1"] = ([1.0] * n_epochs, {})
    accuracy: dict[str, list[float | None]] = {name: [] for name in rows}
    for seed in range(1, N_FRESH + 1):
        init, order, draw = (derive_seed(repeat, purpose, "fresh", seed) for purpose in ("init", "order", "noise"))
        trials = tuple(
            TrialSpec(0, k, name, seed, tuple(keep_rate), init, order, draw, train=train)
            for k, (name, (keep_rate, train)) in enumerate(rows.items())
        )
        results = trained(populations(spec, Round(0, "retrain", trials)), root)
        for name, result in zip(rows, results, strict=True):
            accuracy[name].append(result.test_accuracy)
    return accuracy


def summary(result: dict[str, Any], noise: str) -> dict[str, dict[str, Any]]:
    """For each row: mean fresh-seed test accuracy, its difference from ``eq1``, and 95 % intervals over repeats."""
    repeats = [
        repeat["fresh"] for key, repeat in result["repeats"].items() if key.startswith(noise) and "fresh" in repeat
    ]
    means = {
        name: np.array([fmean(v for v in one[name] if v is not None) for one in repeats])
        for name in (repeats[0] if repeats else {})
        if all(name in one for one in repeats)
    }
    rows = {}
    for name, value_R in means.items():
        rows[name] = {"repeats": len(value_R), **_interval("accuracy", value_R)}
        if name != "eq1" and "eq1" in means:
            rows[name] |= _interval("above_eq1", value_R - means["eq1"])
    return rows


def _interval(name: str, value_R: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float | None]:
    _, half = interval(value_R.tolist())
    return {name: round(float(value_R.mean()), 5), f"{name}_half_width": None if half is None else round(half, 5)}


def table_of(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown, in per cent."""
    lines = ["| schedule | fresh-seed test accuracy | above tuned eq. (1) | repeats |", "|---|---|---|---|"]
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["accuracy"]):
        cells = [_cell(row, key) for key in ("accuracy", "above_eq1")]
        lines.append("| " + " | ".join([name, *cells, str(row["repeats"])]) + " |")
    return "\n".join(lines)


def _cell(row: dict[str, Any], key: str) -> str:
    if key not in row:
        return ""
    half = row[f"{key}_half_width"]
    return f"{100 * row[key]:.2f}" + ("" if half is None else f" ± {100 * half:.2f}")


def steps(args: argparse.Namespace, result: dict[str, Any], root: str) -> Iterator[None]:
    """Everything that is still missing, repeat by repeat."""
    for repeat, noise in product(range(args.repeats), args.noise):
        entry = result["repeats"].setdefault(f"{noise} {repeat}", {"searches": {}})
        missing = {
            name: job(noise, name, repeat, args.rounds) for name in args.searches if name not in entry["searches"]
        }
        if missing:
            entry["searches"] |= searched(missing, root)
            entry.pop("fresh", None)
            result["train"] = to_json(next(iter(missing.values())).train)
        if "fresh" not in entry:
            entry["fresh"] = fresh(noise, repeat, entry["searches"], root)
            yield


def main() -> None:
    """Search what is missing, write after every step, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--noise", nargs="+", choices=list(NOISES), default=list(NOISES))
    parser.add_argument("--searches", nargs="+", choices=list(SEARCHES), default=list(SEARCHES))
    parser.add_argument("--results", type=Path, required=True, help="folder of real_search.json")
    args = parser.parse_args()
    path = args.results / "real_search.json"
    result: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"repeats": {}}
    with tempfile.TemporaryDirectory() as root:
        small_mnist(Path(root))
        for _ in steps(args, result, root):
            result |= {"machine": machine(), "summary": {noise: summary(result, noise) for noise in NOISES}}
            path.write_text(json.dumps(result) + "\n")
    for noise in args.noise:
        print(f"{noise}\n{table_of(summary(result, noise))}\n")


if __name__ == "__main__":
    main()
