"""The gain from prefix rungs: Hyperband and ASHA against rules with full trainings, at equal epochs, recorded.

    python -m benchmarks.bench_prefix [--repeats N] [--results FOLDER] [--tiny]

The recorded tables hold every epoch, so a prefix is the beginning of a recorded training, and its objective the mean
over the last epochs of that beginning. A search runs as a job does (``s2e.jobs.loop``), the nearest recorded schedule
answering; its recommendation is valued by the mean over the recorded seeds, without noise. Beside it: the rank
correlation of the objective after each rung with the one at the end of the same training.

S schedules, R seeds, T epochs.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.measure import machine, write_result
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.jobs.search import recommend_from
from s2e.search.rungs import brackets
from s2e.words import JobSpec, Round, RoundRecord, TrialResult, TrialSpec
from workers.recorded import DIGITS_PAIR45, DIGITS_SYM50, RecordedTable

TABLES = {"sym50": DIGITS_SYM50, "pair45": DIGITS_PAIR45}
SEARCHERS = ("random", "model_newton", "hyperband", "asha")
N_TRIALS = 6
BUDGETS = (12, 24, 48)
"""Full trainings that a search may cost."""
N_EPOCHS, TAIL = 60, 6
"""Of the recorded trainings."""


def rank_correlations(table: RecordedTable) -> dict[str, float]:
    """Spearman's correlation over schedules of the objective after each rung with the end's, mean over seeds."""
    end_SR = table.objective(TAIL)
    correlations = {}
    for rung in brackets(N_EPOCHS)[0]:
        at = slice(max(0, rung.n_epochs - TAIL), rung.n_epochs)
        prefix_SR = 1 - table.validation_accuracy[..., at].mean(axis=-1)
        seeds = [spearmanr(prefix_S, end_S).statistic for prefix_S, end_S in zip(prefix_SR.T, end_SR.T, strict=True)]
        correlations[str(rung.n_epochs)] = round(float(np.mean(seeds)), 3)
    return correlations


def search(table: RecordedTable, name: str, budget: int, seed: int) -> tuple[float, float, int]:
    """True accuracy of the recommendation, the full trainings spent, and how many trials they were."""
    spec = parse_job(
        {
            "seed": seed,
            "train": {"n_epochs": N_EPOCHS},
            "search": {
                "searcher": name,
                "n_rounds": budget // N_TRIALS,
                "n_trials": N_TRIALS,
                "tail_epochs": TAIL,
            },
        }
    )
    history: list[RoundRecord] = []
    while (round_ := loop.next_round(spec, history)) is not None and round_.kind == "search":
        history.append(RoundRecord(round_, tuple(_trained(table, trial, spec) for trial in round_.trials)))
    trials = [trial for record in history for trial in record.round.trials]
    epochs = sum(trial.fidelity.epochs_of(N_EPOCHS) - trial.fidelity.resumed_epochs for trial in trials)
    return _true_accuracy(table, spec, history), epochs / N_EPOCHS, len(trials)


def _trained(table: RecordedTable, trial: TrialSpec, spec: JobSpec) -> TrialResult:
    """The nearest recorded training after the trial's epochs."""
    n_epochs = trial.fidelity.epochs_of(N_EPOCHS)
    accuracy = table(trial).validation_accuracy[max(0, n_epochs - spec.tail_epochs) : n_epochs]
    mean = float(np.mean(accuracy))
    return TrialResult(trial.round, trial.k, objective=1 - mean, validation_accuracy=mean)


def _true_accuracy(table: RecordedTable, spec: JobSpec, history: list[RoundRecord]) -> float:
    place = recommend_from(spec, history)
    assert place is not None
    round_: Round = history[place[0]].round
    return float(1 - table.objective(TAIL)[table.nearest(round_.trials[place[1]].keep_rate)].mean())


def compared(table: RecordedTable, budgets: Sequence[int], repeats: int) -> dict[str, Any]:
    """For each budget and rule: mean accuracy with the half width of its 95 % interval, cost and trials."""
    rows: dict[str, Any] = {}
    for budget in budgets:
        for name in SEARCHERS:
            runs = np.array([search(table, name, budget, seed) for seed in range(repeats)])
            accuracy, spent, trials = runs.T
            rows.setdefault(str(budget), {})[name] = {
                "accuracy": round(float(accuracy.mean()), 5),
                "half_width": round(1.96 * float(accuracy.std(ddof=1)) / math.sqrt(repeats), 5),
                "full_trainings_spent": round(float(spent.mean()), 2),
                "trials": round(float(trials.mean()), 1),
            }
    return {"rank_correlation_with_the_end": rank_correlations(table), "budgets": rows}


def table_of(result: dict[str, Any]) -> str:
    """The comparison as a Markdown table, accuracies in per cent."""
    lines = ["| table | budget | " + " | ".join(f"`{name}`" for name in SEARCHERS) + " |", "|---" * 6 + "|"]
    for table, compared_at in result["tables"].items():
        for budget, rows in compared_at["budgets"].items():
            cells = [f"{100 * row['accuracy']:.2f} ± {100 * row['half_width']:.2f}" for row in rows.values()]
            lines.append(f"| {table} | {budget} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Compare, and keep or print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--tiny", action="store_true", help="two repeats of the least budget: checks the path only")
    parser.add_argument("--results", type=Path, help="folder the JSON is kept in; without it, it goes to the output")
    args = parser.parse_args()
    repeats, budgets = (2, BUDGETS[:1]) if args.tiny else (args.repeats, BUDGETS)
    tables = {name: compared(RecordedTable.load(path), budgets, repeats) for name, path in TABLES.items()}
    result = {"machine": machine(), "repeats": repeats, "tables": tables}
    if args.results is None:
        print(json.dumps(result))
        return
    print(f"{table_of(result)}\n\nwrote {write_result(args.results, 'prefix', result)}")


if __name__ == "__main__":
    main()
