"""The findings and the cost of a job's final comparison: simulated, with the product's own rules.

    python -m benchmarks.bench_verdict [--repeats N] [--results FOLDER]

Test accuracies are normal: the default schedule is 2 points behind the searched one, R = 1 10 points, the tuned eq. (1)
the gain in question; paired differences have the standard deviation that was measured with 50 % symmetric (1.8 points)
and 45 % pair noise (4.3). Both rules of ``report.rules``, all other settings default. A row says how often the searched
schedule is said to beat the tuned eq. (1), the mean difference where it is, the median difference that the seeds would
have shown where it is not, and the trainings of the comparison and of the whole job.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

import numpy as np

from s2e.door import parse_job
from s2e.jobs.final import n_final_trials
from s2e.jobs.search_report import rows_of, undecided
from s2e.jobs.sequential import looks, most_trainings
from s2e.words import JobSpec, ReportRow, Round, RoundRecord, TrialResult, TrialSpec

GAINS = (0.0, 0.5, 1.0, 2.0)
SPREADS = {"sym50": 1.8, "pair45": 4.3}
BEHIND = {"searched": 0.0, "default": 2.0, "all": 10.0}


def comparison(spec: JobSpec, gain: float, spread: float, rng: np.random.Generator) -> tuple[ReportRow, int]:
    """The row of the tuned eq. (1) at the end of a comparison, and its trainings; gain and spread in points."""
    history: list[RoundRecord] = []
    behind, labels = BEHIND | {"tuned": gain}, ("searched", "default", "tuned", "all")
    for first, last in pairwise((0, *looks(spec.report))):
        pairs = list(product(range(first + 1, last + 1), labels))
        trials = tuple(TrialSpec(0, k, label, repeat, (1.0,), 0, 0, 0) for k, (repeat, label) in enumerate(pairs))
        accuracy = [(80 - behind[label] + spread / 2**0.5 * rng.standard_normal()) / 100 for _, label in pairs]
        results = tuple(TrialResult(0, k, objective=0.2, test_accuracy=value) for k, value in enumerate(accuracy))
        history.append(RoundRecord(Round(0, "retrain", trials), results))
        if not (labels := undecided(spec, history)):
            break
    row = next(row for row in rows_of(spec, history) if row.label == "tuned")
    return row, sum(len(record.round.trials) for record in history)


def measured(rules: int, gain: float, spread: float, repeats: int) -> dict[str, Any]:
    """One row of the table."""
    spec, rng = parse_job({"report": {"rules": rules}}), np.random.default_rng(0)
    ended = [comparison(spec, gain, spread, rng) for _ in range(repeats)]
    decided = [row for row, _ in ended if abs(row.difference or 0) > (row.difference_half_width or 0)]
    beats = [100 * (row.difference or 0) for row in decided if (row.difference or 0) > 0]
    seen = [100 * (row.detectable or 0) for row, _ in ended if row not in decided]
    trainings = [n for _, n in ended]
    before = spec.search.n_rounds * spec.search.n_trials + n_final_trials(spec) - most_trainings(spec.report)
    return {
        "beats": len(beats) / repeats,
        "is worse than": (len(decided) - len(beats)) / repeats,
        "shown when declared": round(fmean(beats), 2) if beats else None,
        "would have shown": round(median(seen), 2) if seen else None,
        "trainings": round(fmean(trainings), 1),
        "trainings_p90": quantiles(trainings, n=10)[-1],
        "whole_job": round(before + fmean(trainings), 1),
        "whole_job_most": before + most_trainings(spec.report),
    }


def rows(repeats: int) -> Iterator[dict[str, Any]]:
    for rules, (noise, spread), gain in product((1, 2), SPREADS.items(), GAINS):
        yield {"rules": rules, "noise": noise, "gain": gain, **measured(rules, gain, spread, repeats)}


def table_of(table: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(table[0]) + " |", "|" + "---|" * len(table[0])]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row.values())) + " |" for row in table)])


def main() -> None:
    """Simulate, print the table, keep JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1_000)
    parser.add_argument("--results", type=Path, help="folder of verdict.json")
    args = parser.parse_args()
    table = list(rows(args.repeats))
    print(table_of(table))
    if args.results:
        path = args.results / "verdict.json"
        path.write_text(json.dumps({"repeats": args.repeats, "rows": table}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
