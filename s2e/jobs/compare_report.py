"""From a finished comparison to its report: figures with intervals, paired differences, and what they support."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from s2e.jobs.compare import KIND, entries_of, schedule_words, uses_schedule
from s2e.jobs.search_report import CONFIDENCE, interval
from s2e.words import FinalAccuracy, JobSpec, RoundRecord, TrialResult, param


@dataclass(frozen=True)
class Compared:
    """One figure of an entry over the seeds, and its paired difference to the baseline. Intervals are 95 %."""

    values: tuple[float | None, ...]
    """By seed; None where the training failed or has no such figure."""
    mean: float | None
    half_width: float | None
    difference: float | None
    """Mean of this entry - baseline over the seeds that both finished; None for the baseline itself."""
    difference_half_width: float | None


@dataclass(frozen=True)
class CompareRow:
    """One entry. ``validation`` is the objective's; the three kinds of test accuracy are never compared with another.

    Figures are means over the networks of a trial; ``ensemble_...`` are of the networks' summed logits.
    """

    label: str
    method: str
    params: dict[str, Any] = param(dict, doc="hyperparameters, complete")
    train: dict[str, Any] = param(dict, doc="other training settings of its own")
    schedule: str = ""
    uses_schedule: bool = True
    keep_rate: tuple[float, ...] = ()
    n_failed: int = 0
    model: str | None = None
    """Model file of its first seed that was trained to the end."""
    validation: Compared | None = None
    last_ten: Compared | None = None
    best: Compared | None = None
    at_best_validation: Compared | None = None
    ensemble_last_ten: Compared | None = None
    ensemble_best: Compared | None = None
    ensemble_at_best_validation: Compared | None = None
    label_precision: Compared | None = None
    wrong_memorised: Compared | None = None


@dataclass(frozen=True)
class CompareReport:
    """The end of a comparison."""

    rows: tuple[CompareRow, ...]
    verdict: str
    baseline: str
    n_seeds: int
    kind: str = KIND


Figure = Callable[[TrialResult], float | None]


def _final(kind: str, name: str) -> Figure:
    """A final figure of the ``mean`` over the networks or of their ``ensemble``."""

    def figure(result: TrialResult) -> float | None:
        accuracy: FinalAccuracy | None = None if result.final is None else getattr(result.final, kind)
        return None if accuracy is None else getattr(accuracy, name)

    return figure


FIGURES: Mapping[str, Figure] = {
    "validation": lambda result: result.validation_accuracy,
    "last_ten": _final("mean", "last_ten"),
    "best": _final("mean", "best"),
    "at_best_validation": _final("mean", "at_best_validation"),
    "ensemble_last_ten": _final("ensemble", "last_ten"),
    "ensemble_best": _final("ensemble", "best"),
    "ensemble_at_best_validation": _final("ensemble", "at_best_validation"),
    "label_precision": lambda result: result.label_precision,
    "wrong_memorised": lambda result: None if result.final is None else result.final.wrong_memorised,
}


def make_compare_report(spec: JobSpec, record: RoundRecord) -> CompareReport:
    """The report of a finished comparison."""
    entries, n_seeds = entries_of(spec), len(record.round.trials) // len(entries_of(spec))
    results: dict[str, list[TrialResult]] = {entry.label: [] for entry in entries}
    keep_rate = {}
    for trial, result in zip(record.round.trials, record.results, strict=True):  # seed by seed: k counts repeats first
        results[trial.label].append(result)
        keep_rate[trial.label] = trial.keep_rate
    baseline = entries[0].label
    rows = tuple(
        CompareRow(
            entry.label,
            entry.method,
            entry.params,
            entry.train,
            schedule_words(entry),
            uses_schedule(entry),
            keep_rate[entry.label],
            sum(result.failed for result in results[entry.label]),
            next((result.model for result in results[entry.label] if result.model), None),
            **{
                name: _compared(figure, results[entry.label], results[baseline] if entry is not entries[0] else None)
                for name, figure in FIGURES.items()
            },
        )
        for entry in entries
    )
    return CompareReport(rows, _verdict(rows), baseline, n_seeds)


def _compared(figure: Figure, mine: Sequence[TrialResult], theirs: Sequence[TrialResult] | None) -> Compared:
    values = tuple(map(figure, mine))
    differences = [] if theirs is None else _paired(values, tuple(map(figure, theirs)))
    return Compared(values, *interval([value for value in values if value is not None]), *interval(differences))


def _paired(mine: Sequence[float | None], theirs: Sequence[float | None]) -> list[float]:
    """Differences over the seeds that have both."""
    return [a - b for a, b in zip(mine, theirs, strict=True) if a is not None and b is not None]


def _verdict(rows: Sequence[CompareRow]) -> str:
    """The claim that the paired differences of the last ten epochs support, all of them together (Bonferroni)."""
    baseline, rivals = rows[0], rows[1:]
    if not rivals:
        return f"One entry alone is compared with nothing: {_quoted(baseline)}."
    sorted_: dict[str, list[str]] = {"better than": [], "worse than": [], "not separated from": [], "unknown": []}
    for row in rivals:
        place, words = _place(row, baseline, len(rivals))
        sorted_[place].append(words)
    parts = [
        f"{_listed(sorted_[place])} {'is' if len(sorted_[place]) == 1 else 'are'} {place} {_quoted(baseline)}."
        for place in ("better than", "worse than", "not separated from")
        if sorted_[place]
    ]
    if sorted_["unknown"]:
        parts.append(f"No seed trained both {_quoted(baseline)} and {_listed(sorted_['unknown'])} to the end.")
    together = f"all {len(rivals)} differences together" if len(rivals) > 1 else "the difference"
    basis = "Test accuracy of the last ten epochs, mean over the networks, paired by seed"
    return " ".join(parts) + f" ({basis}; {CONFIDENCE:.0%} for {together}.)"


def _place(row: CompareRow, baseline: CompareRow, n_rivals: int) -> tuple[str, str]:
    """Where an entry stands to the baseline, and its label with the difference in points where that is named."""
    assert row.last_ten is not None
    assert baseline.last_ten is not None
    differences = _paired(row.last_ten.values, baseline.last_ten.values)
    mean, half_width = interval(differences, 1 - (1 - CONFIDENCE) / n_rivals)
    if mean is None:
        return "unknown", _quoted(row)
    if half_width is None or abs(mean) <= half_width:
        return "not separated from", _quoted(row)
    return "better than" if mean > 0 else "worse than", f"{_quoted(row)} ({100 * mean:+.1f} points)"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _quoted(row: CompareRow) -> str:
    """A label may hold commas."""
    return f"“{row.label}”"
