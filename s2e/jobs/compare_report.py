"""From a finished comparison to its report: figures with intervals, paired differences, and the claim they support."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from s2e.jobs.compare import entries_of, schedule_words, uses_schedule
from s2e.jobs.search_report import accuracy_warning, estimate_words, listed, without_noise
from s2e.jobs.sequential import CONFIDENCE, interval
from s2e.words import (
    Compared,
    CompareReport,
    CompareRow,
    DataSpec,
    EntrySpec,
    JobSpec,
    RoundRecord,
    TrialResult,
    numbers_of,
    value_at,
)


def make_compare_report(spec: JobSpec, record: RoundRecord, among: Sequence[EntrySpec] | None = None) -> CompareReport:
    """The report of a finished comparison, of the job's entries or of those ``among`` them that it trained."""
    entries = entries_of(spec) if among is None else tuple(among)
    n_seeds = len(record.round.trials) // len(entries)
    results: dict[str, list[TrialResult]] = {entry.label: [] for entry in entries}
    keep_rate: dict[str, tuple[float, ...]] = {}
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
            members_of(results[entry.label]),
            **{
                number.name: _compared(
                    number.source, results[entry.label], results[baseline] if entry is not entries[0] else None
                )
                for number in numbers_of(CompareRow)
            },
        )
        for entry in entries
    )
    said = (_verdict(rows), accuracy_warning(spec.data), audit_words(spec.data), without_noise(spec))
    return CompareReport(
        rows,
        " ".join(filter(None, said)),
        baseline,
        n_seeds,
        spec.data.accuracy_title,
        " ".join(filter(None, (_basis(rows, spec.data.accuracy_title), *map(_mean, rows), estimate_words(spec.data)))),
    )


def audit_words(data: DataSpec) -> str:
    """The origin of the revised labels, in words; empty where no entry can revise any."""
    if data.audit is None:
        return ""
    source = f"by the audit of job {data.audit.job}" if data.audit.job else "given with the job"
    return (
        f"Entries that revise labels revise the same {len(data.audit.rows)}, {source}. Over robust training no gain "
        "of it is proven: it is what the differences here show, or nothing."
    )


def members_of(results: Sequence[TrialResult]) -> dict[str, int]:
    """In how many trainings each is a member, the most frequent first."""
    return dict(Counter(name for result in results if result.final for name in result.final.members).most_common())


def _mean(row: CompareRow) -> str:
    """The models that an entry is the mean of, in words; empty where it is none."""
    assert row.last_ten is not None
    n = len(row.last_ten.values) - row.n_failed
    members = [name if times == n else f"{name} ({times} of {n} trainings)" for name, times in row.members.items()]
    return f"{_quoted(row)} is the mean of {listed(members)}." if members else ""


def _compared(source: str, mine: Sequence[TrialResult], theirs: Sequence[TrialResult] | None) -> Compared:
    values = tuple(value_at(result, source) for result in mine)
    differences = [] if theirs is None else _paired(values, tuple(value_at(result, source) for result in theirs))
    return Compared(values, *interval([value for value in values if value is not None]), *interval(differences))


def _paired(mine: Sequence[float | None], theirs: Sequence[float | None]) -> list[float]:
    """Differences over the seeds that have both."""
    return [a - b for a, b in zip(mine, theirs, strict=True) if a is not None and b is not None]


def _basis(rows: Sequence[CompareRow], accuracy: str) -> str:
    """The meaning of the differences, in words; empty where there is none."""
    n = len(rows) - 1
    together = f"all {n} differences together" if n > 1 else "the difference"
    basis = f"{accuracy.capitalize()} of the last ten epochs, mean over the networks, paired by seed"
    return f"{basis}; {100 * CONFIDENCE:.0f} % for {together}." if n else ""


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
        f"{listed(sorted_[place])} {'is' if len(sorted_[place]) == 1 else 'are'} {place} {_quoted(baseline)}."
        for place in ("better than", "worse than", "not separated from")
        if sorted_[place]
    ]
    if sorted_["unknown"]:
        parts.append(f"No seed trained both {_quoted(baseline)} and {listed(sorted_['unknown'])} to the end.")
    return " ".join(parts)


def _place(row: CompareRow, baseline: CompareRow, n_rivals: int) -> tuple[str, str]:
    """An entry's standing against the baseline, and its label with the difference in points where one is shown."""
    assert row.last_ten is not None
    assert baseline.last_ten is not None
    differences = _paired(row.last_ten.values, baseline.last_ten.values)
    mean, half_width = interval(differences, 1 - (1 - CONFIDENCE) / n_rivals)
    if mean is None:
        return "unknown", _quoted(row)
    if half_width is None or abs(mean) <= half_width:
        return "not separated from", _quoted(row)
    return "better than" if mean > 0 else "worse than", f"{_quoted(row)} ({100 * mean:+.1f} points)"


def _quoted(row: CompareRow) -> str:
    """A label may hold commas."""
    return f"“{row.label}”"
