"""From finished rounds to the report: best run, recommended schedule, fresh-seed comparison, verdict in words.

Differences are paired by seed; :mod:`s2e.jobs.sequential` says when they are looked at, and at which confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from s2e.data.own.trusted import words as trusted_words
from s2e.data.validation import validation_warning
from s2e.jobs import trusted_rows
from s2e.jobs.sequential import POWER, confidence_at, detectable, for_all, interval, looks, worth_more
from s2e.jobs.trials import default_tau
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

FEW_TEST = 100
"""Rows that test; below, one of them is a point or more."""
TITLES = {
    "searched": "searched schedule",
    "default": "default Co-teaching schedule",
    "tuned": "tuned eq. (1)",
    "all": "R = 1 (keep everything)",
}
ALL_TITLES = TITLES | trusted_rows.TITLES
IN_WORDS = {
    **TITLES,
    **trusted_rows.IN_WORDS,
    "default": "the default Co-teaching schedule",
    "tuned": "the tuned eq. (1)",
    "all": "R = 1",
}


def make_report(spec: JobSpec, history: Sequence[RoundRecord], recommended: tuple[int, int] | None) -> Report:
    """The report of a finished job."""
    succeeded = [(trial, result) for trial, result in _pairs(history, "search") if result.objective is not None]
    succeeded = of_highest_fidelity(succeeded, lambda pair: pair[0].share)
    best = min(succeeded, key=lambda pair: pair[1].objective or 0.0, default=None)
    rows, measured = rows_of(spec, history), _measured(_pairs(history, "retrain"))
    said = (
        _rests_on(measured),
        _verdict(rows, recommended),
        accuracy_warning(spec.data),
        validation_warning(spec.data),
    )
    keep_rate, train = _shown(rows, history, recommended)
    first = next((r for t, r in _pairs(history, "retrain") if t.label == "searched" and r.model), None)
    return Report(
        recommended=recommended,
        best_run=None if best is None else (best[0].round, best[0].k),
        best_run_validation_accuracy=None if best is None else best[1].validation_accuracy,
        best_run_model=None if best is None else best[1].model,
        recommended_model=None if first is None else first.model,
        keep_rate=keep_rate,
        rows=rows,
        verdict=" ".join(filter(None, said)),
        train=train,
        basis=_basis(spec, history),
        measured=measured,
        accuracy="validation accuracy" if measured == "validation_accuracy" else spec.data.accuracy_title,
    )


def accuracy_warning(data: DataSpec) -> str:
    """The weakness of accuracies that rest on labels nobody has checked, or on few rows; empty where there is none."""
    few = _few_rows(data)
    if data.truth_is_known or data.trusted_rows.n_test:
        return few
    given = (
        "Accuracy is against the given labels, test samples included: it may prefer a network that repeats their noise."
    )
    return f"{given} {few}" if few else given


def _few_rows(data: DataSpec) -> str:
    n_test = 0 if data.sizes is None else data.sizes.n_test or 0
    if not 0 < n_test < FEW_TEST:
        return ""
    return (
        f"Only {n_test} rows test, so one of them is {100 / n_test:.1f} points; intervals are over seeds and know "
        "nothing of other rows: a difference of a few rows may be luck."
    )


def rows_of(spec: JobSpec, history: Sequence[RoundRecord]) -> tuple[ReportRow, ...]:
    """The comparison so far, one row for each schedule that was trained in it."""
    retrained = _pairs(history, "retrain")
    there = {trial.label for trial, _ in retrained}
    return tuple(_row(spec, label, retrained) for label in ALL_TITLES if label in there)


def _shown(
    rows: Sequence[ReportRow], history: Sequence[RoundRecord], recommended: tuple[int, int] | None
) -> tuple[tuple[float, ...], dict[str, Any]]:
    """R(t) and the settings that the report recommends: as they were compared, or, where a budget ended the job before
    the comparison, those of the recommended trial; none without any."""
    if rows:
        return rows[0].keep_rate, rows[0].train
    trials = {(trial.round, trial.k): trial for record in history for trial in record.round.trials}
    trial = None if recommended is None else trials[recommended]
    return ((), {}) if trial is None else (trial.keep_rate, trial.train)


def undecided(spec: JobSpec, history: Sequence[RoundRecord]) -> tuple[str, ...]:
    """The rows that get more seeds, the searched one first; none once the rows that decide have had enough.

    The tuned eq. (1) decides, and so does the rival that the searched schedule is least ahead of. While one of them is
    worth more seeds, so is every other row that is open, up to :func:`s2e.jobs.sequential.for_all`.
    """
    retrained, report = _pairs(history, "retrain"), spec.report
    differences = {label: _differences(label, retrained) for label in TITLES if label != "searched"}
    n_seeds = {label: _n_seeds(label, retrained) for label in differences}
    open_ = [label for label, values in differences.items() if worth_more(report, values, n_seeds[label])]
    trained = [label for label, values in differences.items() if values]
    least = min(trained, key=lambda label: fmean(differences[label]), default=None)
    deciding = {least} if report.rules == 1 else {least, "tuned"}
    more = [label for label in open_ if label in deciding or n_seeds[label] < for_all(report)]
    return ("searched", *more) if deciding.intersection(open_) else ()


def _pairs(history: Sequence[RoundRecord], kind: str) -> list[tuple[TrialSpec, TrialResult]]:
    """Trials of all rounds of a kind with their results."""
    return [
        pair
        for record in history
        if record.round.kind == kind
        for pair in zip(record.round.trials, record.results, strict=True)
    ]


def _row(spec: JobSpec, label: str, retrained: Sequence[tuple[TrialSpec, TrialResult]]) -> ReportRow:
    mine = [(trial, result) for trial, result in retrained if trial.label == label]
    accuracy = _accuracies(label, retrained)
    differences = [] if label == "searched" else _differences(label, retrained)
    confidence = confidence_at(spec.report, _n_seeds(label, retrained))
    mean, half_width = interval(list(accuracy.values()))
    difference, difference_half_width = interval(differences, confidence)
    values, has_test = tuple(accuracy.values()), _measured(retrained) == "test_accuracy"
    return ReportRow(
        label=label,
        title=ALL_TITLES[label],
        keep_rate=mine[0][0].keep_rate,
        test_accuracy=values if has_test else (),
        validation_accuracy=() if has_test else values,
        mean=mean,
        half_width=half_width,
        difference=difference,
        difference_half_width=difference_half_width,
        detectable=detectable(differences, confidence),
        n_failed=sum(result.failed for _, result in mine),
        train=mine[0][0].train,
        **{number.name: _mean_at(number.source, mine) for number in numbers_of(ReportRow)},
    )


def _measured(retrained: Sequence[tuple[TrialSpec, TrialResult]]) -> str:
    """The accuracy that the comparison rests on: test accuracy, unless the trainer measured validation alone."""
    has_test = any(result.test_accuracy is not None for _, result in retrained)
    has_validation = any(result.validation_accuracy is not None for _, result in retrained)
    return "validation_accuracy" if has_validation and not has_test else "test_accuracy"


def _rests_on(measured: str) -> str:
    if measured == "test_accuracy":
        return ""
    return (
        "No test accuracy was reported, so this compares validation accuracy, by which the searched and the tuned "
        "schedule were chosen: it flatters both."
    )


def _accuracies(label: str, retrained: Sequence[tuple[TrialSpec, TrialResult]]) -> dict[int, float]:
    """Accuracy of a schedule by seed, without those that failed."""
    name = _measured(retrained)
    mine = {trial.repeat: getattr(result, name) for trial, result in retrained if trial.label == label}
    return {seed: accuracy for seed, accuracy in mine.items() if accuracy is not None}


def _differences(label: str, retrained: Sequence[tuple[TrialSpec, TrialResult]]) -> list[float]:
    """Searched - this schedule, for each seed that trained both to the end."""
    searched, accuracy = _accuracies("searched", retrained), _accuracies(label, retrained)
    return [searched[seed] - accuracy[seed] for seed in accuracy if seed in searched]


def _n_seeds(label: str, retrained: Sequence[tuple[TrialSpec, TrialResult]]) -> int:
    """Seeds that a schedule was trained on, to the end or not."""
    return max((trial.repeat for trial, _ in retrained if trial.label == label), default=0)


def _mean_at(source: str, trained: Sequence[tuple[TrialSpec, TrialResult]]) -> float | None:
    """Mean of a number of the results over the seeds that have it."""
    known = [value for _, result in trained if (value := value_at(result, source)) is not None]
    return fmean(known) if known else None


def _verdict(rows: Sequence[ReportRow], recommended: tuple[int, int] | None) -> str:
    """The claim that the paired intervals support, and nothing more."""
    if recommended is None:
        return "Every trial of the search failed; no schedule is recommended."
    if not rows:
        return "The schedules were not compared on fresh seeds: the recommended one may owe its place to luck."
    places: dict[str, list[ReportRow]] = {"beats": [], "is worse than": [], "open": [], "unknown": []}
    for row in rows[1:]:
        places[_outcome(row)].append(row)
    parts = [
        f"On fresh seeds the searched schedule {verb} {listed([_with_interval(row) for row in places[verb]])}."
        for verb in ("beats", "is worse than")
        if places[verb]
    ]
    if places["open"]:
        parts.append(f"These seeds do not separate the searched schedule from {_named(places['open'])}.")
    parts += [_least_seen(row) for row in places["open"] if row.label == "tuned" and row.detectable]
    if places["unknown"]:
        parts.append(f"No seed trained both the searched schedule and {_named(places['unknown'])} to the end.")
    if "tuned" not in [row.label for row in places["beats"]]:
        parts.append("No schedule is shown to beat the tuned eq. (1) here.")
    return " ".join(parts)


def _with_interval(row: ReportRow) -> str:
    """A decided rival with the difference and its interval, in points."""
    difference, half = 100 * (row.difference or 0), 100 * (row.difference_half_width or 0)
    return f"{IN_WORDS[row.label]} ({difference:+.1f} points, {difference - half:+.1f} to {difference + half:+.1f})"


def _least_seen(row: ReportRow) -> str:
    """The true difference that would probably have been declared."""
    n, points = len(row.of_seeds), 100 * (row.detectable or 0)
    return (
        f"A true difference of {points:.1f} points from {IN_WORDS[row.label]} would show in {100 * POWER:.0f} % of "
        f"comparisons on {n} seeds."
    )


def _outcome(row: ReportRow) -> str:
    """The place of a rival by the interval of its paired difference, in the verdict's words."""
    if row.difference is None:
        return "unknown"
    if row.difference_half_width is None or abs(row.difference) <= row.difference_half_width:
        return "open"
    return "beats" if row.difference > 0 else "is worse than"


def _basis(spec: JobSpec, history: Sequence[RoundRecord]) -> str:
    """The basis of the numbers, in words."""
    searched = sum(trial.fidelity.price(len(trial.keep_rate)) for trial, _ in _pairs(history, "search"))
    n_tuned, seeds = len(_pairs(history, "tune")), looks(spec.report)
    fewer = " (fewer: a quick look, not an even contest)" if n_tuned < searched else ""
    parts = [
        estimate_words(spec.data),
        without_noise(spec),
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
        planned = listed([str(n) for n in seeds])
        levels = ", ".join(f"{100 * confidence_at(spec.report, n):.4g}" for n in seeds)
        parts.append(
            f"Looks were planned at {planned} seeds and end where the tuned eq. (1) and the best rival are decided or "
            f"unlikely to be, so each difference has the t interval of its look ({levels} %), and all looks together "
            "95 %. Differences that are declared, above all early, are on average larger than the true ones."
        )
    return " ".join(filter(None, [*parts, trusted_rows.words(spec)]))


def estimate_words(data: DataSpec) -> str:
    """The evidence about given labels and their rows, in words: how they were read, sizes proposed for them, the
    estimated noise, its alarms, and the use of trusted rows."""
    return " ".join(
        filter(None, (_as_read(data), _proposed(data), _estimated(data), trusted_words(data.trusted.counted)))
    )


def without_noise(spec: JobSpec) -> str:
    """Where the noise of given labels could not be estimated: why, and the guess that stands in."""
    if not spec.data.unestimated:
        return ""
    tau = f"{100 * default_tau(spec):g} % of the labels for wrong, which is a guess"
    said = "" if spec.report.tau is not None else f" Schedules take {tau}."
    return (
        f"No use was made of the labels' noise: {spec.data.unestimated}.{said} Agreement with given labels chooses "
        "well where wrong labels fall on all classes alike; elsewhere it may mislead."
    )


def _as_read(data: DataSpec) -> str:
    notes = () if data.sizes is None else data.sizes.notes
    return f"How the data were read: {'; '.join(notes)}." if notes else ""


def _proposed(data: DataSpec) -> str:
    reasons = () if data.sizes is None else data.sizes.reasons
    return f"Proposed, where the job does not say: {'; '.join(reasons)}." if reasons else ""


def _estimated(data: DataSpec) -> str:
    estimate = data.estimate
    if data.truth_is_known or estimate is None:
        return ""
    rate, low, high = (f"{100 * value:.1f}" for value in (estimate.noise_rate, estimate.low, estimate.high))
    within = f"95 % interval {low} to {high} %"
    said = f"Of {estimate.n_rows} given labels an estimated {rate} % are wrong ({within})."
    return " ".join((said, *(f"{alarm[:1].upper()}{alarm[1:]}." for alarm in estimate.alarms)))


def _named(rows: Sequence[ReportRow]) -> str:
    return listed([IN_WORDS[row.label] for row in rows])


def listed(names: Sequence[str]) -> str:
    """One name or more as a sentence has them: "a", "a and b", "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
