"""From finished rounds to the report: best run, recommended schedule, fresh-seed comparison, verdict in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from scipy.stats import t as student_t

from s2e.fidelity import of_highest_fidelity
from s2e.spec import JobSpec, Report, ReportRow, RoundRecord, TrialResult, TrialSpec

TITLES = {
    "searched": "searched schedule",
    "default": "default Co-teaching schedule",
    "tuned": "eq. (1) with tau tuned",
    "all": "R = 1 (keep everything)",
}
IN_WORDS = TITLES | {"default": "the default Co-teaching schedule", "all": "R = 1"}
CONFIDENCE = 0.95


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float | None, float | None]:
    """Mean and half-width of its Student-t interval; None where there are too few values."""
    if not values:
        return None, None
    if len(values) < 2:
        return values[0], None
    quantile = float(student_t.ppf(0.5 + confidence / 2, len(values) - 1))
    return fmean(values), quantile * stdev(values) / math.sqrt(len(values))


def make_report(
    spec: JobSpec,  # noqa: ARG001 (what is asked about a job is a function of its spec and its history)
    history: Sequence[RoundRecord],
    recommended: tuple[int, int] | None,
) -> Report:
    """The report of a finished job."""
    searched = [pair for record in history if record.round.kind == "search" for pair in _pairs(record)]
    succeeded = [(trial, result) for trial, result in searched if result.objective is not None]
    succeeded = of_highest_fidelity(succeeded, lambda pair: pair[0].share)
    best = min(succeeded, key=lambda pair: pair[1].objective or 0.0, default=None)
    retrained = [pair for record in history if record.round.kind == "retrain" for pair in _pairs(record)]
    rows = tuple(_row(label, retrained) for label in TITLES)
    first = next((r for t, r in retrained if t.label == "searched" and r.model), None)
    return Report(
        recommended=recommended,
        best_run=None if best is None else (best[0].round, best[0].k),
        best_run_validation_accuracy=None if best is None else best[1].validation_accuracy,
        best_run_model=None if best is None else best[1].model,
        recommended_model=None if first is None else first.model,
        keep_rate=rows[0].keep_rate,
        rows=rows,
        verdict=_verdict(rows, recommended),
        train=rows[0].train,
    )


def _pairs(record: RoundRecord) -> list[tuple[TrialSpec, TrialResult]]:
    return list(zip(record.round.trials, record.results, strict=True))


def _row(label: str, retrained: Sequence[tuple[TrialSpec, TrialResult]]) -> ReportRow:
    mine = [(trial, result) for trial, result in retrained if trial.label == label]
    accuracy = {t.repeat: r.test_accuracy for t, r in mine if r.test_accuracy is not None}
    searched = {
        t.repeat: r.test_accuracy for t, r in retrained if t.label == "searched" and r.test_accuracy is not None
    }
    precision = [r.label_precision for _, r in mine if r.label_precision is not None]
    mean, half_width = interval(list(accuracy.values()))
    difference, difference_half_width = (
        interval([searched[s] - accuracy[s] for s in accuracy if s in searched])
        if label != "searched"
        else (None, None)
    )
    return ReportRow(
        label=label,
        title=TITLES[label],
        keep_rate=mine[0][0].keep_rate,
        test_accuracy=tuple(accuracy.values()),
        mean=mean,
        half_width=half_width,
        label_precision=fmean(precision) if precision else None,
        difference=difference,
        difference_half_width=difference_half_width,
        n_failed=sum(result.failed for _, result in mine),
        train=mine[0][0].train,
    )


def _verdict(rows: Sequence[ReportRow], recommended: tuple[int, int] | None) -> str:
    """What the paired intervals support, and nothing more."""
    if recommended is None:
        return "Every trial of the search failed; no schedule is recommended."
    better, worse, open_, unknown = [], [], [], []
    for row in rows[1:]:
        if row.difference is None:
            unknown.append(row)
        elif row.difference_half_width is None or abs(row.difference) <= row.difference_half_width:
            open_.append(row)
        elif row.difference > 0:
            better.append(row)
        else:
            worse.append(row)
    parts = []
    for verb, found in (("beats", better), ("is worse than", worse)):
        if found:
            listed = ", ".join(f"{IN_WORDS[row.label]} ({100 * (row.difference or 0):+.1f} points)" for row in found)
            parts.append(f"On fresh seeds the searched schedule {verb} {listed}.")
    if open_:
        parts.append(f"These seeds do not separate the searched schedule from {_listed(open_)}.")
    if unknown:
        parts.append(f"No seed trained both the searched schedule and {_listed(unknown)} to the end.")
    return " ".join(parts)


def _listed(rows: Sequence[ReportRow]) -> str:
    return ", ".join(IN_WORDS[row.label] for row in rows)
