"""From the finished rounds of ``auto`` to its report: a comparison with the winner as baseline, and how it won."""

from __future__ import annotations

from collections.abc import Sequence

from s2e.jobs.auto import candidates, is_by_likelihood, needs_matrix, refitted, sizes
from s2e.jobs.compare import entries_of
from s2e.jobs.compare_report import make_compare_report
from s2e.jobs.trials import default_tau
from s2e.words import CompareReport, EntrySpec, JobSpec, RoundRecord, replace


def make_auto_report(spec: JobSpec, history: Sequence[RoundRecord], finalists: Sequence[EntrySpec]) -> CompareReport:
    """The report; ``finalists`` has the winner first. Where a budget ended the job before its comparison, the rows are
    those of the last halving."""
    if history[-1].round.kind != "compare":
        return _leading(spec, history[-1], finalists[0])
    compared = make_compare_report(spec, history[-1], finalists)
    return replace(compared, verdict=f"{_choice(spec, history, finalists[0])} {compared.verdict}")


def _leading(spec: JobSpec, last: RoundRecord, leader: EntrySpec) -> CompareReport:
    entries, there = candidates(spec), {trial.label for trial in last.round.trials}
    others = [entry for entry in entries if entry.label in there and entry.label != leader.label]
    compared = make_compare_report(spec, last, [leader, *others])
    said = f"“{leader.label}” leads {len(entries)} candidates so far; none was compared on fresh seeds."
    return replace(compared, verdict=said)


def _choice(spec: JobSpec, history: Sequence[RoundRecord], winner: EntrySpec) -> str:
    n_trained = " + ".join(map(str, sizes(len(candidates(spec)))))
    if is_by_likelihood(history):
        basis = "the likelihood of noisy validation labels under the noise's matrix"
    else:
        is_given = not spec.data.truth_is_known and not spec.data.trusted_rows.n_validation
        basis = f"validation accuracy{' against the given labels' if is_given else ''}"
    return (
        f"“{winner.label}” was chosen among {len(candidates(spec))} candidates by {basis} ({n_trained} trainings). On "
        "fresh seeds it stands beside the best candidate of every other method; one that is not separated from it is "
        f"tied with it.{_without_noise(spec)}{_refit(spec)}"
    )


def _without_noise(spec: JobSpec) -> str:
    """Where the noise of given labels could not be estimated: what was done without it."""
    if not spec.data.unestimated:
        return ""
    left_out = [f"“{entry.label}”" for entry in entries_of(spec) if needs_matrix(entry)]
    said = f" Left out, for want of its matrix: {', '.join(left_out)}." if left_out else ""
    tau = (
        "" if spec.report.tau is not None else f" Schedules take {100 * default_tau(spec):g} % of the labels for wrong."
    )
    return (
        f" No use was made of the labels' noise: {spec.data.unestimated}.{said}{tau} Agreement with given labels "
        "chooses well where wrong labels fall on all classes alike; elsewhere it may mislead."
    )


def _refit(spec: JobSpec) -> str:
    if not refitted(spec).trusted.refit:
        return ""
    n = spec.data.trusted_rows.n_validation
    return (
        f" There every candidate also trains on the {n} trusted rows that made the choice, so validation accuracy, and "
        "the epoch where it is best, are measured on training rows."
    )
