"""From finished rounds to the report: best run, recommended schedule, fresh-seed comparison, verdict in words.

Differences are paired by seed. They are looked at after n_seeds seeds, after twice as many, and so on, and a look may
end the comparison, so an interval at 95 % each time would miss too often. The error is shared by the L looks that may
come (Bonferroni): each has a t interval at 1 - 0.05 / L, and all of them hold together with at least 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from scipy.stats import t as student_t

from s2e.data.validation import validation_warning
from s2e.words import (
    DataSpec,
    JobSpec,
    Report,
    ReportRow,
    RoundRecord,
    TrialResult,
    TrialSpec,
    numbers_of,
    of_highest_fidelity,
    value_at,
)

TITLES = {
    "searched": "searched schedule",
    "default": "default Co-teaching schedule",
    "tuned": "tuned eq. (1)",
    "all": "R = 1 (keep everything)",
}
IN_WORDS = TITLES | {"default": "the default Co-teaching schedule", "tuned": "the tuned eq. (1)", "all": "R = 1"}
CONFIDENCE = 0.95


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float | None, float | None]:
    """Mean and half-width of its Student-t interval; None where there are too few values."""
    if not values:
        return None, None
    if len(values) < 2:
        return values[0], None
    quantile = float(student_t.ppf(0.5 + confidence / 2, len(values) - 1))
    return fmean(values), quantile * stdev(values) / math.sqrt(len(values))


def looks(spec: JobSpec) -> tuple[int, ...]:
    """Seeds of a schedule after which the comparison is looked at: n_seeds, doubled each time, at most max_seeds."""
    n, most = spec.report.n_seeds, spec.report.max_seeds or 2 * spec.report.n_seeds
    seeds = []
    while n < most:
        seeds.append(n)
        n *= 2
    return (*seeds, most)


def make_report(spec: JobSpec, history: Sequence[RoundRecord], recommended: tuple[int, int] | None) -> Report:
    """The report of a finished job."""
    succeeded = [(trial, result) for trial, result in _pairs(history, "search") if result.objective is not None]
    succeeded = of_highest_fidelity(succeeded, lambda pair: pair[0].share)
    best = min(succeeded, key=lambda pair: pair[1].objective or 0.0, default=None)
    rows = rows_of(spec, history)
    first = next((r for t, r in _pairs(history, "retrain") if t.label == "searched" and r.model), None)
    return Report(
        recommended=recommended,
        best_run=None if best is None else (best[0].round, best[0].k),
        best_run_validation_accuracy=None if best is None else best[1].validation_accuracy,
        best_run_model=None if best is None else best[1].model,
        recommended_model=None if first is None else first.model,
        keep_rate=rows[0].keep_rate,
        rows=rows,
        verdict=" ".join(
            filter(None, (_verdict(rows, recommended), accuracy_warning(spec.data), validation_warning(spec.data)))
        ),
        train=rows[0].train,
        basis=_basis(spec, history),
        accuracy=spec.data.accuracy_title,
    )


def accuracy_warning(data: DataSpec) -> str:
    """The weakness of accuracies that rest on labels nobody has checked; empty where the truth is known."""
    if data.truth_is_known:
        return ""
    return (
        "Accuracy is against the given labels, test samples included: it may prefer a network that repeats their noise."
    )


def rows_of(spec: JobSpec, history: Sequence[RoundRecord]) -> tuple[ReportRow, ...]:
    """The comparison so far, one row for each schedule."""
    retrained = _pairs(history, "retrain")
    confidence = 1 - (1 - CONFIDENCE) / len(looks(spec))
    return tuple(_row(label, retrained, confidence) for label in TITLES)


def is_open(row: ReportRow) -> bool:
    """True if more seeds might separate the searched schedule from this one; never where both are the same training."""
    if row.difference is None:
        return False
    return row.difference_half_width is None or 0 < row.difference_half_width >= abs(row.difference)


def best_rival(rows: Sequence[ReportRow]) -> ReportRow | None:
    """The row that the searched schedule is least ahead of; None when it was trained beside none of them."""
    return min((row for row in rows if row.difference is not None), key=lambda row: row.difference or 0.0, default=None)


def _pairs(history: Sequence[RoundRecord], kind: str) -> list[tuple[TrialSpec, TrialResult]]:
    """Trials of all rounds of a kind with their results."""
    return [
        pair
        for record in history
        if record.round.kind == kind
        for pair in zip(record.round.trials, record.results, strict=True)
    ]


def _row(label: str, retrained: Sequence[tuple[TrialSpec, TrialResult]], confidence: float) -> ReportRow:
    mine = [(trial, result) for trial, result in retrained if trial.label == label]
    accuracy = {t.repeat: r.test_accuracy for t, r in mine if r.test_accuracy is not None}
    searched = {
        t.repeat: r.test_accuracy for t, r in retrained if t.label == "searched" and r.test_accuracy is not None
    }
    mean, half_width = interval(list(accuracy.values()))
    difference, difference_half_width = (
        interval([searched[s] - accuracy[s] for s in accuracy if s in searched], confidence)
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
        difference=difference,
        difference_half_width=difference_half_width,
        n_failed=sum(result.failed for _, result in mine),
        train=mine[0][0].train,
        **{number.name: _mean_at(number.source, mine) for number in numbers_of(ReportRow)},
    )


def _mean_at(source: str, trained: Sequence[tuple[TrialSpec, TrialResult]]) -> float | None:
    """Mean of a number of the results over the seeds that have it."""
    known = [value for _, result in trained if (value := value_at(result, source)) is not None]
    return fmean(known) if known else None


def _verdict(rows: Sequence[ReportRow], recommended: tuple[int, int] | None) -> str:
    """The claim that the paired intervals support, and nothing more."""
    if recommended is None:
        return "Every trial of the search failed; no schedule is recommended."
    places: dict[str, list[ReportRow]] = {"beats": [], "is worse than": [], "open": [], "unknown": []}
    for row in rows[1:]:
        places[_outcome(row)].append(row)
    parts = [
        f"On fresh seeds the searched schedule {verb} "
        + ", ".join(f"{IN_WORDS[row.label]} ({100 * (row.difference or 0):+.1f} points)" for row in places[verb])
        + "."
        for verb in ("beats", "is worse than")
        if places[verb]
    ]
    if places["open"]:
        parts.append(f"These seeds do not separate the searched schedule from {_listed(places['open'])}.")
    if places["unknown"]:
        parts.append(f"No seed trained both the searched schedule and {_listed(places['unknown'])} to the end.")
    if "tuned" not in [row.label for row in places["beats"]]:
        parts.append("No schedule is shown to beat the tuned eq. (1) here.")
    return " ".join(parts)


def _outcome(row: ReportRow) -> str:
    """The place of a rival by the interval of its paired difference, in the verdict's words."""
    if row.difference is None:
        return "unknown"
    if row.difference_half_width is None or abs(row.difference) <= row.difference_half_width:
        return "open"
    return "beats" if row.difference > 0 else "is worse than"


def _basis(spec: JobSpec, history: Sequence[RoundRecord]) -> str:
    """The basis of the numbers, in words."""
    searched = sum(trial.share for trial, _ in _pairs(history, "search"))
    n_tuned, seeds = len(_pairs(history, "tune")), looks(spec)
    fewer = " (fewer: a quick look, not an even contest)" if n_tuned < searched else ""
    parts = [
        estimate_words(spec.data),
        f"The search spent {searched:.4g} full trainings, tuning eq. (1) {n_tuned}{fewer}.",
    ]
    if _pairs(history, "choose"):
        parts.append(
            f"On each side fresh seeds chose, by validation accuracy, among the {spec.report.n_candidates} schedules "
            "with the lowest posterior mean."
        )
    repeats = {trial.repeat for trial, _ in _pairs(history, "retrain")}
    parts.append(f"The rows rest on up to {len(repeats)} other seeds.")
    if len(seeds) > 1:
        level = 100 * (1 - (1 - CONFIDENCE) / len(seeds))
        planned = ", ".join(map(str, seeds[:-1])) + f" and {seeds[-1]}"
        parts.append(
            f"Looks were planned at {planned}; a decided best rival ends them, so each difference has a t interval at "
            f"{level:.4g} %, and all looks together 95 %."
        )
    return " ".join(filter(None, parts))


def estimate_words(data: DataSpec) -> str:
    """What was estimated of given labels, and what speaks against it; empty where nothing was."""
    estimate = data.estimate
    if data.truth_is_known or estimate is None:
        return ""
    rate, low, high = (f"{100 * value:.1f}" for value in (estimate.noise_rate, estimate.low, estimate.high))
    said = f"Of {estimate.n_rows} given labels an estimated {rate} % are wrong (95 % interval {low} to {high} %)."
    return " ".join((said, *(f"{alarm[:1].upper()}{alarm[1:]}." for alarm in estimate.alarms)))


def _listed(rows: Sequence[ReportRow]) -> str:
    return ", ".join(IN_WORDS[row.label] for row in rows)
