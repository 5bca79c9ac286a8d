"""The worth of choosing a method, and its loss against knowing the best one: regret of ``kind = "auto"``.

For every cell and seed each candidate of the portfolio trains on five seeds for the choice, on rows whose labels are
given: the noise is the cell's, hidden from the job and estimated by it. Each of the five holds out another fifth of the
rows. A replay takes them in an order for the halving, by the product's own rule; two more seeds, on all rows, judge the
choice. Choices:

    none              by 160 noisy labels in each round under the estimated T, other ones in every round
    100, 300          by noisy ones and so many clean labels, in no training: random ones of 300, others in every draw
    ..., before       by the same in four rounds, in none of which jurors stay
    ..., all on all   by the same where all candidates train on all parts
    ... alone         by the clean labels alone

Regret is the test accuracy, on the two fresh seeds, of the candidate that is best on all seven, less that of the
choice, in points. A single default is a candidate that is always taken; the best one is known with hindsight only.
Intervals are Student's over runs (a cell with a seed), each the mean of its replays.

    python -m benchmarks.bench_gain --output FOLDER          the cells
    ... --record FOLDER                                      keeps the trainings there, and replays those that it has
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student

from benchmarks.label_cells import Cell, make_cell
from benchmarks.measure import logged, machine, write_result
from s2e.door import parse_job, read_job
from s2e.fitted_model import FittedNetwork, is_fitted
from s2e.jobs import loop
from s2e.jobs.auto import KIND, planned_sizes, those_left, winner
from s2e.jobs.compare import entries_of, keep_rate_of
from s2e.jobs.trials import make_repeat
from s2e.model import Model
from s2e.networks.build import build
from s2e.prepare import prepared
from s2e.train.trial import PopulationEnd, train_population
from s2e.words import (
    SPEC_VERSION,
    DataError,
    Evidence,
    JobSpec,
    Population,
    Round,
    RoundRecord,
    TrialResult,
    TrialSpec,
    read,
    replace,
    to_json,
)

CELLS = [
    *("digits-sym50", "digits-pair40", "digits-part40", "mnist-sym50", "mnist-pair45", "mnist-asym40"),
    *("news-sym40", "cifar-human", "phoneme-asym30", "banknote-sym30", "marital-sym30", "relationship-sym30"),
]
WEIGHED = {("digits-pair40", 31), ("mnist-asym40", 31), ("mnist-asym40", 41), ("news-sym40", 31)}
WEIGHED |= {("phoneme-asym30", 31), ("cifar-human", 31)}
"""Runs that the weights of the jury were chosen on."""
DEVELOPED = WEIGHED | {(f"digits-{noise}", 31) for noise in ("part40", "sym50")} | {("digits-pair40", 42)}
DEVELOPED |= {(f"mnist-{noise}", 31) for noise in ("pair45", "sym50")} | {("mnist-asym40", 43)}
DEVELOPED |= {("phoneme-asym30", 32), ("phoneme-asym30", 43), ("banknote-sym30", 31)}
DEVELOPED |= {("marital-sym30", 31), ("marital-asym30", 42), ("relationship-sym30", 43)}
"""Those, and the others that jurors were chosen on."""
N_NOISY, N_CLEAN, N_TEST, N_EPOCHS, N_FRESH = 800, 300, 1_000, 15, 2
PARTS = (0, 1, 2, 3, 4)
"""Of the rows, held out by each seed for the choice."""
Rule = tuple[str | None, int, float | None]
"""The jury of noisy labels where they count, rounds of the halving, and the least weight of a juror."""
RULES: dict[str, Rule] = {
    "": ("weighed", 5, 0.5),
    ", before": ("weighed", 4, None),
    ", all on all": ("weighed", 5, 0.0),
}
DRAWS = {f"{m or 'none'}{said}": (m, rule) for m in (0, 100, 300) for said, rule in RULES.items()}
DRAWS |= {f"{m} alone": (m, (None, 4, None)) for m in (100, 300)}
"""Clean labels, and the rule."""
N_DRAWS = 2
DEFAULT = "coteaching"
MUCH = 0.3
"""Points by which a choice that is worse than the default counts as harm."""
Run = dict[str, Any]


def main() -> None:
    """Print JSON, or keep it below a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--seeds", default="31")
    parser.add_argument("--output", type=Path, help="folder of <date>-gain.json")
    parser.add_argument("--record", type=Path, help="folder of trainings, which are not run again")
    parser.add_argument("--log", type=Path, help="a file of runs, a JSON line each; those in it are not run again")
    args = parser.parse_args()
    cells = [(name, seed) for seed in map(int, args.seeds.split(",")) for name in args.cells.split(",")]
    runs = logged(cells, args.log, lambda name, seed: one_run(make_cell(name, seed), seed, args.record))
    result = {"machine": machine(), "runs": runs, **summaries(runs)}
    print(write_result(args.output, "gain", result) if args.output else json.dumps(result, indent=1))


def one_run(cell: Cell, seed: int, folder: Path | None = None) -> Run:
    """Every candidate on every seed: what chooses, and the truth."""
    file = None if folder is None else folder / f"{cell.name}-{seed}.json"
    run: Run = {"cell": cell.name, "seed": seed, "noise_rate": cell.noise_rate}
    if file is not None and file.exists():
        recorded = kept(json.loads(file.read_text()))
    else:
        made = _recorded(cell, seed)
        if isinstance(made, str):
            return run | {"refused": made}
        recorded = made
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(to_keep(recorded)))
    estimate = recorded.spec.data.estimate
    assert estimate is not None
    test = {label: [_points(r.test_accuracy) for r in of.results] for label, of in recorded.trained.items()}
    run |= {"estimated": estimate.noise_rate, "alarms": list(estimate.alarms), "cpu_s": recorded.cpu_s}
    return run | {"test": test, "choices": chosen_in(recorded)}


def _recorded(cell: Cell, seed: int) -> Recorded | str:
    """All trainings, or the reason why the noise cannot be estimated."""
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
            return str(error)
        if spec.data.estimate is None:
            return spec.data.unestimated
        pool = cell.x_SF[n : n + N_CLEAN], cell.true_S[n : n + N_CLEAN]
        rows = [_trained(spec, i, root, pool) for i in range(len(entries_of(spec)))]
    trained = {entry.label: of for entry, of in zip(entries_of(spec), rows, strict=True)}
    return Recorded(spec, trained, round(process_time() - began_s, 1))


def _points(accuracy: float | None) -> float | None:
    return None if accuracy is None else round(100 * accuracy, 2)


def _job(seed: int) -> JobSpec:
    return parse_job(
        {
            "kind": "auto",
            "seed": seed,
            "data": {"name": "arrays", "params": {"path": "cell.npz"}, "n_validation": N_NOISY // 5},
            "train": {"network": "mlp_tabular", "network_params": {"hidden": [256]}, "n_epochs": N_EPOCHS,
                      "batch_size": 32},
            "plan": {"population": len(PARTS)},
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A candidate on every seed: those of the choice, then the fresh ones."""

    results: tuple[TrialResult, ...]
    """With the evidence of noisy labels, those of the choice."""
    right: list[NDArray[np.bool_] | None]
    """Of each seed, the clean rows that are predicted right; None where the training failed."""


@dataclass(frozen=True)
class Recorded:
    """All trainings of a run."""

    spec: JobSpec
    trained: Mapping[str, Trained]
    cpu_s: float = 0.0


def to_keep(recorded: Recorded) -> dict[str, Any]:
    """As plain JSON."""
    trained = {
        label: {
            "results": [to_json(result) for result in of.results],
            "right": [None if right is None else right.astype(int).tolist() for right in of.right],
        }
        for label, of in recorded.trained.items()
    }
    return {"spec": to_json(recorded.spec), "trained": trained, "cpu_s": recorded.cpu_s}


def kept(content: Mapping[str, Any]) -> Recorded:
    """From :func:`to_keep`."""
    trained = {
        label: Trained(
            tuple(read(TrialResult, result) for result in of["results"]),
            [None if right is None else np.array(right, dtype=bool) for right in of["right"]],
        )
        for label, of in content["trained"].items()
    }
    return Recorded(read_job(content["spec"], SPEC_VERSION), trained, content["cpu_s"])


def _trained(spec: JobSpec, i: int, root: str, pool: tuple[NDArray[Any], NDArray[Any]]) -> Trained:
    """Candidate i."""
    entry, n = entries_of(spec)[i], len(PARTS)
    seeds = {(part, KIND): [k for k in range(n) if PARTS[k] == part] for part in sorted(set(PARTS))}
    seeds[len(seeds), "compare"] = list(range(n, n + N_FRESH))
    of_seed = {}
    for (m, kind), ks in seeds.items():
        trials = tuple(
            make_repeat(spec, m, k, entry.label, keep_rate_of(entry, spec), entry.overrides, ("gain", k + 1))
            for k in ks
        )
        (population,) = loop.populations(spec, Round(m, kind, trials))
        *_, end = train_population(population, data_root=root)
        assert isinstance(end, PopulationEnd)
        right = [None if model is None else _right(population, end, model, pool) for model in end.models]
        of_seed |= dict(zip(ks, zip(end.results, right, strict=True), strict=True))
    return Trained(tuple(of_seed[k][0] for k in range(n + N_FRESH)), [of_seed[k][1] for k in range(n + N_FRESH)])


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


def chosen_in(recorded: Recorded) -> dict[str, dict[str, Any]]:
    """Of each choice: regret, harm, gains over Co-teaching, and how often each candidate was taken."""
    return {choice: _replayed(recorded, *how) for choice, how in DRAWS.items()}


def _in_turns() -> list[tuple[int, ...]]:
    """The five seeds: every first three in every order, and one order of the other two."""
    return list(permutations(range(len(PARTS))))[::2]


def _replayed(recorded: Recorded, m: int, rule: Rule) -> dict[str, Any]:
    truth = {
        label: np.array([math.nan if r.test_accuracy is None else 100 * r.test_accuracy for r in of.results])
        for label, of in recorded.trained.items()
    }
    best = max(truth, key=lambda label: np.nan_to_num(np.mean(truth[label]), nan=-1))
    regrets, gains, taken, trainings, n = [], [], Counter[str](), Counter[str](), len(PARTS)
    (jury, n_rounds, jurors), compare = rule, recorded.spec.compare
    assert compare is not None
    judged_by = replace(recorded.spec, compare=replace(compare, jury=jury, rounds=n_rounds, jurors=jurors))
    for draw in range(N_DRAWS if 0 < m < N_CLEAN else 1):
        rows = np.random.default_rng(draw).permutation(N_CLEAN)[:m]
        for halving in _in_turns():
            chosen, trained = _chosen(replace(recorded, spec=judged_by), halving, rows, noisy=jury is not None)
            taken[chosen] += 1
            trainings.update(trained)
            regrets.append(float(np.mean(truth[best][n:] - truth[chosen][n:])))
            gains.append(float(np.mean(truth[chosen][n:] - truth[DEFAULT][n:])))
    return {
        "regret": round(float(np.mean(regrets)), 3),
        "harm": round(float(np.mean(np.array(gains) < -MUCH)), 4),
        "over_coteaching": round(float(np.mean(gains)), 3),
        "taken": dict(taken.most_common()),
        "trainings": {label: round(k / len(regrets), 2) for label, k in trainings.items()},
    }


def _chosen(
    recorded: Recorded, seeds: Sequence[int], rows: NDArray[np.int64], *, noisy: bool
) -> tuple[str, Counter[str]]:
    """The winner of the product's halving, and how often each candidate trained; the trainings are looked up."""
    spec, history = recorded.spec, list[RoundRecord]()
    for m, n in enumerate(planned_sizes(spec)):
        entries = those_left(spec, history, n)
        trials = tuple(
            make_repeat(spec, m, k, entry.label, (1.0,), {}, ("gain", seeds[m])) for k, entry in enumerate(entries)
        )
        results = (_looked_up(recorded, trial, seeds[m], rows, noisy) for trial in trials)
        history.append(RoundRecord(Round(m, KIND, trials), tuple(results)))
    return winner(spec, history).label, Counter(trial.label for record in history for trial in record.round.trials)


def _looked_up(recorded: Recorded, trial: TrialSpec, seed: int, rows: NDArray[np.int64], noisy: bool) -> TrialResult:
    of = recorded.trained[trial.label]
    result, right, m, k = of.results[seed], of.right[seed], trial.round, trial.k
    if right is None or result.final is None:
        return TrialResult(m, k, failed=True, reason="failed")
    kept = result.final.evidence if noisy else Evidence() if len(rows) else None
    if kept is not None and len(rows):
        kept = replace(kept, right=float(right[rows].mean()), n_right=len(rows))
    return replace(result, round=m, k=k, final=replace(result.final, evidence=kept))


def summaries(runs: Sequence[Run]) -> dict[str, Any]:
    """Regret of each choice over the runs that the rule was chosen on, and over those nobody had looked at."""
    whole = [run for run in runs if "choices" in run]
    parts = {"developed": [run for run in whole if (run["cell"], run["seed"]) in DEVELOPED]}
    parts["untouched"] = [run for run in whole if run not in parts["developed"]]
    return {name: _summary(part) for name, part in parts.items() if part}


def _summary(runs: Sequence[Run]) -> dict[str, Any]:
    common = set.intersection(*(set(run["test"]) for run in runs))
    means = {label: round(float(np.mean([_mean(run["test"][label]) for run in runs])), 2) for label in sorted(common)}
    single = max(means, key=lambda label: means[label])
    rows: dict[str, Any] = {}
    for choice in DRAWS:
        of = [run["choices"][choice] for run in runs]
        worst = max(range(len(runs)), key=lambda i: of[i]["regret"])
        over = [
            one["over_coteaching"] + _mean(run["test"][DEFAULT]) - _mean(run["test"][single])
            for run, one in zip(runs, of, strict=True)
        ]
        rows[choice] = {
            "regret": _interval([one["regret"] for one in of]),
            "worst": [runs[worst]["cell"], runs[worst]["seed"], of[worst]["regret"]],
            "over_coteaching": _interval([one["over_coteaching"] for one in of]),
            "over_best_single": _interval(over),
            "harm": round(float(np.mean([one["harm"] for one in of])), 4),
            "trainings": round(float(np.mean([sum(one["trainings"].values()) for one in of])), 1),
        }
        before = f"{choice.split(',')[0]}, before"
        if before in DRAWS:
            pairs = [(one["regret"], run["choices"][before]["regret"]) for run, one in zip(runs, of, strict=True)]
            rows[choice]["beside_before"] = _interval([now - then for now, then in pairs])
    return {"n_runs": len(runs), "best_single": single, "mean_of_single": means, "choices": rows}


def _mean(values: Sequence[float | None]) -> float:
    """On the fresh seeds."""
    return float(np.mean([math.nan if value is None else value for value in values[len(PARTS) :]]))


def _interval(values: Sequence[float]) -> list[float | None]:
    """Mean and half width of its 95 % interval."""
    n = len(values)
    half = student.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n) if n > 1 else None
    return [round(float(np.mean(values)), 2), None if half is None else round(float(half), 2)]


if __name__ == "__main__":
    main()
