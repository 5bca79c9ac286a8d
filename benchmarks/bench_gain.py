"""The worth of choosing a method, and its loss against knowing the best one: regret of ``kind = "auto"``.

For every cell and seed each candidate of the portfolio trains on five seeds, on rows whose labels are given: the noise
is the cell's, hidden from the job and estimated by it. A replay takes three of the five, in an order, for the halving,
by the product's own rule, and judges the choice on the other two: 60 replays of one run. Choices:

    none    by the likelihood of noisy validation labels under the estimated T
    100     by accuracy on 100 clean labels, in no training
    300     by accuracy on 300 clean labels

Regret is the test accuracy, on the two fresh seeds of a replay, of the candidate that is best on all five, less that of
the choice, in points. A single default is a candidate that is always taken; the best one is known with hindsight only.
Intervals are Student's over runs (a cell with a seed), each the mean of its replays.

    python -m benchmarks.bench_gain --output FOLDER          the cells, then the data set kept untouched
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student

from benchmarks.label_cells import Cell, make_cell
from benchmarks.measure import machine, write_result
from s2e.door import parse_job
from s2e.fitted_model import FittedNetwork, is_fitted
from s2e.jobs import loop
from s2e.jobs.auto import N_LAST, ranked, sizes
from s2e.jobs.compare import entries_of, keep_rate_of
from s2e.jobs.trials import make_repeat
from s2e.model import Model
from s2e.networks.build import build
from s2e.prepare import prepared
from s2e.train.trial import PopulationEnd, train_population
from s2e.words import (
    DataError,
    FinalAccuracies,
    JobSpec,
    Population,
    Round,
    RoundRecord,
    TrialResult,
    replace,
    to_json,
)

CELLS = [
    *("digits-sym50", "digits-pair40", "digits-part40", "mnist-sym50", "mnist-pair45", "mnist-asym40"),
    *("news-sym40", "news-pair35", "cifar-human", "cifar-margin30", "phoneme-asym30", "banknote-sym30", "adult-sym30"),
]
UNTOUCHED = ["fashion-pair40", "fashion-part40", "fashion-sym50"]
"""Run once, after all was fixed."""
N_NOISY, N_CLEAN, N_TEST, N_EPOCHS, N_SEEDS, N_FRESH = 800, 300, 1_000, 15, 5, 2
CHOICES = ("none", "100", "300")
DEFAULT = "coteaching"
MUCH = 0.3
"""Points by which a choice that is worse than the default counts as harm."""
Run = dict[str, Any]


def main() -> None:
    """Print JSON, or keep it below a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=",".join(CELLS + UNTOUCHED))
    parser.add_argument("--seeds", default="31")
    parser.add_argument("--output", type=Path, help="folder of <date>-gain.json")
    parser.add_argument("--log", type=Path, help="a file of runs, a JSON line each; those in it are not run again")
    args = parser.parse_args()
    runs = list(_runs(args.cells.split(","), [int(seed) for seed in args.seeds.split(",")], args.log))
    result = {"machine": machine(), "runs": runs, **summaries(runs)}
    print(write_result(args.output, "gain", result) if args.output else json.dumps(result, indent=1))


def _runs(names: Sequence[str], seeds: Sequence[int], log: Path | None) -> Iterator[Run]:
    done = [json.loads(line) for line in log.read_text().splitlines()] if log and log.exists() else []
    by_key = {(run["cell"], run["seed"]): run for run in done}
    for seed in seeds:
        for name in names:
            if (name, seed) not in by_key:
                by_key[name, seed] = one_run(make_cell(name, seed), seed)
                if log:
                    with log.open("a") as file:
                        file.write(json.dumps(by_key[name, seed]) + "\n")
            yield by_key[name, seed]


def one_run(cell: Cell, seed: int) -> Run:
    """Every candidate on every seed: what chooses, and the truth."""
    began_s = process_time()
    n = min(N_NOISY, len(cell.given_S) - N_CLEAN)
    with tempfile.TemporaryDirectory() as root:
        np.savez(
            Path(root) / "cell.npz",
            X=cell.x_SF[:n],
            y=cell.given_S[:n],
            X_test=cell.test_x_SF[:N_TEST],
            y_test=cell.test_S[:N_TEST],
        )
        try:
            spec = prepared(_job(seed), root)
        except DataError as error:
            return {"cell": cell.name, "seed": seed, "refused": str(error)}
        estimate_s = process_time() - began_s
        pool = cell.x_SF[n : n + N_CLEAN], cell.true_S[n : n + N_CLEAN]
        rows = [_trained(spec, label, root, pool) for label in range(len(entries_of(spec)))]
    assert spec.data.estimate is not None
    return {
        "cell": cell.name,
        "seed": seed,
        "noise_rate": cell.noise_rate,
        "estimated": spec.data.estimate.noise_rate,
        "alarms": list(spec.data.estimate.alarms),
        "estimate_cpu_s": round(estimate_s, 1),
        "cpu_s": round(process_time() - began_s, 1),
        "spec": to_json(replace(spec, data=replace(spec.data, estimate=None))),
        "candidates": {entry.label: row for entry, row in zip(entries_of(spec), rows, strict=True)},
    }


def _job(seed: int) -> JobSpec:
    return parse_job(
        {
            "kind": "auto",
            "seed": seed,
            "data": {"name": "arrays", "params": {"path": "cell.npz"}, "n_validation": N_NOISY // 5},
            "train": {"network": "mlp_tabular", "network_params": {"hidden": [256]}, "n_epochs": N_EPOCHS,
                      "batch_size": 32},
            "plan": {"population": N_SEEDS},
        }
    )  # fmt: skip


def _trained(spec: JobSpec, i: int, root: str, pool: tuple[NDArray[Any], NDArray[Any]]) -> dict[str, list[Any]]:
    """Of candidate i, one number for each seed; None where a training failed."""
    entry, began_s = entries_of(spec)[i], process_time()
    trials = tuple(
        make_repeat(spec, 0, k, entry.label, keep_rate_of(entry, spec), entry.overrides, ("gain", k + 1))
        for k in range(N_SEEDS)
    )
    (population,) = loop.populations(spec, Round(0, "compare", trials))
    *_, end = train_population(population, data_root=root)
    assert isinstance(end, PopulationEnd)
    of_pool = [None if model is None else _right(population, end, model, pool) for model in end.models]
    return {
        "none": [result.final and result.final.noisy_likelihood for result in end.results],
        "100": [None if right is None else float(right[:100].mean()) for right in of_pool],
        "300": [None if right is None else float(right.mean()) for right in of_pool],
        "test": [result.test_accuracy for result in end.results],
        "cpu_s": [round((process_time() - began_s) / N_SEEDS, 2)],
    }


def _right(
    population: Population, end: PopulationEnd, tensors: Mapping[str, torch.Tensor], pool: tuple[Any, Any]
) -> NDArray[np.bool_]:
    """The rows of the pool that are predicted right, by the sum of probabilities over a trial's networks."""
    x, true = pool
    train, shape = population.train, end.network
    described = {"train": to_json(train), "shape": to_json(shape)}
    if is_fitted(tensors):
        return np.asarray(Model(FittedNetwork(tensors, described), described).predict_proba(x).argmax(1) == true)
    p_SC = 0.0
    for network in sorted({name.split(".")[0] for name in tensors}):
        module = build(train, shape.input_shape, shape.n_classes).make_module()
        own = {name.removeprefix(f"{network}."): t for name, t in tensors.items() if name.startswith(f"{network}.")}
        module.load_state_dict(own, strict=False)
        p_SC = p_SC + Model(module, described).predict_proba(x)
    return np.asarray(p_SC.argmax(1) == true)  # type: ignore[attr-defined]


# --- choices, replayed ------------------------------------------------------------------------------------------------


def replays(run: Run, choice: str) -> list[dict[str, Any]]:
    """Of each replay the chosen candidate, and accuracies on its fresh seeds, in points."""
    spec = _spec(run)
    truth = {
        label: [math.nan if v is None else 100 * v for v in row["test"]] for label, row in run["candidates"].items()
    }
    best = max(truth, key=lambda label: np.nan_to_num(np.mean(truth[label]), nan=-1))
    replayed = []
    for halving in permutations(range(N_SEEDS), N_SEEDS - N_FRESH):
        fresh = [k for k in range(N_SEEDS) if k not in halving]
        chosen = chosen_by(spec, run, choice, halving)
        replayed.append(
            {
                "chosen": chosen,
                "regret": float(np.mean([truth[best][k] - truth[chosen][k] for k in fresh])),
                "fresh": {label: float(np.mean([values[k] for k in fresh])) for label, values in truth.items()},
            }
        )
    return replayed


def chosen_by(spec: JobSpec, run: Run, choice: str, seeds: Sequence[int]) -> str:
    """The winner of the product's halving, its trainings looked up."""
    history: list[RoundRecord] = []
    for m, n in enumerate(sizes(len(entries_of(spec)))):
        trials = tuple(
            make_repeat(spec, m, k, entry.label, (1.0,), {}, ("gain", seeds[m]))
            for k, entry in enumerate(ranked(spec, history)[:n])
        )
        results = tuple(_looked_up(run, trial.label, seeds[m], choice, k) for k, trial in enumerate(trials))
        history.append(RoundRecord(Round(m, "halve", trials), results))
    return ranked(spec, history)[0].label


def _looked_up(run: Run, label: str, seed: int, choice: str, k: int) -> TrialResult:
    value = run["candidates"][label][choice][seed]
    if value is None:
        return TrialResult(0, k, failed=True, reason="failed")
    if choice != "none":
        return TrialResult(0, k, validation_accuracy=value)
    return TrialResult(0, k, validation_accuracy=0.0, final=FinalAccuracies(None, None, None, noisy_likelihood=value))


def _spec(run: Run) -> JobSpec:
    from s2e.door.stored import read_job
    from s2e.words import SPEC_VERSION

    return read_job(run["spec"], SPEC_VERSION)


def summaries(runs: Sequence[Run]) -> dict[str, Any]:
    """Regret of each choice over the cells that were developed on, and over the untouched ones."""
    assert len(sizes(2 * N_LAST + 1)) == N_SEEDS - N_FRESH
    whole = [run for run in runs if "candidates" in run]
    parts = {"developed": [r for r in whole if r["cell"] not in UNTOUCHED]}
    parts["untouched"] = [r for r in whole if r["cell"] in UNTOUCHED]
    return {name: _summary(part) for name, part in parts.items() if part}


def _summary(runs: Sequence[Run]) -> dict[str, Any]:
    of = {choice: [replays(run, choice) for run in runs] for choice in CHOICES}
    means = {label: _mean_of(of["none"], label) for label in of["none"][0][0]["fresh"]}
    default = max(means, key=lambda label: means[label])
    rows: dict[str, Any] = {}
    for choice, replayed in of.items():
        regret = [float(np.mean([one["regret"] for one in replay])) for replay in replayed]
        worst = int(np.argmax(regret))
        rows[choice] = {
            "regret": _interval(regret),
            "worst": [runs[worst]["cell"], round(regret[worst], 2)],
            "over_best_single": _interval([_over(replay, default) for replay in replayed]),
            "over_coteaching": _interval([_over(replay, DEFAULT) for replay in replayed]),
            "harm": round(float(np.mean([_harmed(one) for replay in replayed for one in replay])), 4),
            "by_cell": {f"{run['cell']}-{run['seed']}": round(r, 2) for run, r in zip(runs, regret, strict=True)},
        }
    return {"n_runs": len(runs), "best_single": default, "mean_of_single": means, "choices": rows}


def _mean_of(replayed: Sequence[Sequence[Mapping[str, Any]]], label: str) -> float:
    return round(float(np.mean([one["fresh"].get(label, math.nan) for replay in replayed for one in replay])), 2)


def _over(replay: Sequence[Mapping[str, Any]], label: str) -> float:
    return float(np.mean([one["fresh"][one["chosen"]] - one["fresh"][label] for one in replay]))


def _harmed(one: Mapping[str, Any]) -> bool:
    return bool(one["fresh"][one["chosen"]] < one["fresh"][DEFAULT] - MUCH)


def _interval(values: Sequence[float]) -> list[float | None]:
    """Mean and half width of its 95 % interval."""
    n = len(values)
    half = student.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n) if n > 1 else None
    return [round(float(np.mean(values)), 2), None if half is None else round(float(half), 2)]


if __name__ == "__main__":
    main()
