"""A whole search, end to end: the original program's structure against this engine and its searchers.

The original: 60 schedules drawn uniformly (its own rule cannot be told from random search), one trial after the other
in the structure of ``official.py``, and the best validation accuracy wins. Here: the same data and settings, trained as
populations, with ``model_newton`` on 60 trials, on 24, and with its rung on a quarter of the samples. Every winner is
then re-trained on the same fresh seeds: a ratio counts only beside the accuracy of its winner.

    python -m benchmarks.bench_whole_search [--tiny]

CPU seconds of this process, one thread, everything included: data, search rule, evaluation. Digits of scikit-learn,
50 % symmetric noise, the settings of ``examples/digits.toml``.
"""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch

from benchmarks.measure import machine
from benchmarks.official import OfficialTrial
from benchmarks.real_search import trained
from benchmarks.workload import Workload
from s2e.data.datasets import load_split, noisy_labels
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.jobs.search import recommend_from
from s2e.jobs.sequential import interval
from s2e.search.spaces import S2E
from s2e.train.runtime import has_fast_bfloat16, prepare_process
from s2e.words import JobSpec, PlanSpec, Round, RoundRecord, TrialSpec, derive_seed, replace

JOB = Path(__file__).parents[1] / "examples" / "digits.toml"
N_SCHEDULES, N_TRIALS = 60, 6
N_SEEDS = 12
Schedule = tuple[float, ...]


def job(searcher: str, n_rounds: int, tiny: bool) -> JobSpec:
    """The search of one side, in bf16 where the processor has it."""
    data = tomllib.loads(JOB.read_text(encoding="utf-8"))
    data["search"] = {"searcher": searcher, "n_rounds": n_rounds, "n_trials": N_TRIALS}
    data["plan"] = {"dtype": "bfloat16" if has_fast_bfloat16() else "float32", "population": N_TRIALS, "threads": 1}
    spec = parse_job(data)
    return replace(spec, train=replace(spec.train, n_epochs=6)) if tiny else spec


def original(spec: JobSpec, n_schedules: int) -> Schedule:
    """The winner of the original structure's random search."""
    n_epochs = spec.train.n_epochs
    drawn = S2E.sample(S2E.initial_theta(), np.random.default_rng(0), n_schedules)
    noisy = noisy_labels(spec.data, derive_seed(spec.seed, "noise"))
    candidates: list[tuple[float, Schedule]] = []
    for i, curve in enumerate(S2E.curves(drawn, n_epochs)):
        schedule = tuple(curve.tolist())
        trial = OfficialTrial(Workload("mlp", spec.data, spec.train, load_split(spec.data), noisy, schedule), i)
        accuracies = []
        for epoch in range(n_epochs):
            trial.run_epoch(epoch)
            accuracies.append(trial.validation_accuracy)
        candidates.append((fmean(accuracies[-spec.tail_epochs :]), schedule))
    return max(candidates)[1]


def searched(spec: JobSpec) -> Schedule:
    """The recommendation of a search with this engine: its search rounds only."""
    history: list[RoundRecord] = []
    while (round_ := loop.next_round(spec, history)) is not None and round_.kind == "search":
        history.append(RoundRecord(round_, tuple(trained(loop.populations(spec, round_)))))
    place = recommend_from(spec, history)
    assert place is not None
    return history[place[0]].round.trials[place[1]].keep_rate


def retrained(spec: JobSpec, schedule: Schedule, n_seeds: int) -> list[float]:
    """Test accuracy in % on fresh weights, data orders and noise draws, float32; the same ones for every schedule."""
    trials = []
    for k in range(n_seeds):
        init, order, noise = (derive_seed(k, "whole search", purpose) for purpose in ("init", "order", "noise"))
        trials.append(TrialSpec(0, k, "search", k, schedule, init, order, noise))
    plan = replace(spec.plan, dtype="float32", population=n_seeds)
    results = trained(loop.populations(replace(spec, plan=plan), Round(0, "retrain", tuple(trials))))
    return [100 * (result.test_accuracy or 0.0) for result in results]


def compare(tiny: bool) -> dict[str, Any]:
    n_schedules, n_seeds = (4, 2) if tiny else (N_SCHEDULES, N_SEEDS)
    n_rounds = 2 if tiny else N_SCHEDULES // N_TRIALS
    spec = job("model_newton", n_rounds, tiny)
    sides: dict[str, Callable[[], Schedule]] = {
        "original, 60 schedules": lambda: original(spec, n_schedules),
        "model_newton, 60 trials": lambda: searched(spec),
        "model_newton, 24 trials": lambda: searched(job("model_newton", min(4, n_rounds), tiny)),
        "model_newton_rung, 60 schedules": lambda: searched(job("model_newton_rung", n_rounds, tiny)),
    }
    prepare_process(PlanSpec(threads=1))
    torch.manual_seed(0)
    rows: dict[str, Any] = {}
    base: list[float] = []
    base_s = 0.0
    for name, run in sides.items():
        start_s = time.process_time()
        schedule = run()
        spent_s = time.process_time() - start_s
        accuracy = retrained(spec, schedule, n_seeds)
        base, base_s = base or accuracy, base_s or spent_s
        rows[name] = {
            "cpu_s": round(spent_s, 2),
            "x_original": round(base_s / spent_s, 2),
            "test_accuracy": round(fmean(accuracy), 2),
            "test_accuracy_sd": round(stdev(accuracy), 2),
            "difference": _paired(accuracy, base),
        }
        print(name, json.dumps(rows[name]), flush=True)
    return rows


def _paired(accuracy: Sequence[float], base: Sequence[float]) -> str:
    """Mean difference to the original's winner, with a 95 % t interval, in points."""
    differences = [a - b for a, b in zip(accuracy, base, strict=True)]
    if not any(differences):
        return "0"
    mean, half = interval(differences)
    return f"{mean:+.2f} +- {half:.2f}"


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.bench_whole_search", description=__doc__)
    options.add_argument("--tiny", action="store_true", help="a few trials, to see that it runs")
    options.add_argument("--out", type=Path, help="write the result there as JSON")
    chosen = options.parse_args()
    result = {"machine": machine(), "rows": compare(chosen.tiny)}
    if chosen.out:
        chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
