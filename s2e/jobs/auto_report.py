"""From the finished rounds of ``auto`` to its report: a comparison with the winner as baseline, and how it won."""

from __future__ import annotations

from collections.abc import Sequence

from s2e.jobs.auto import KIND, candidates, is_by_likelihood, needs_matrix, ranked, refitted, turns
from s2e.jobs.compare import entries_of
from s2e.jobs.compare_report import make_compare_report
from s2e.jobs.judging import ENOUGH
from s2e.words import CompareReport, EntrySpec, JobSpec, RoundRecord, replace


def make_auto_report(spec: JobSpec, history: Sequence[RoundRecord], finalists: Sequence[EntrySpec]) -> CompareReport:
    """The report; ``finalists`` has the winner first. Where a budget ended the job before its comparison, the rows are
    those of the last halving."""
    if history[-1].round.kind != "compare":
        return _leading(spec, history[-1], finalists[0])
    compared = make_compare_report(spec, history[-1], finalists)
    won = finalists[0]
    claim = f"“{won.label}” was chosen among {len(candidates(spec))} candidates; what is not separated from it is tied."
    return replace(
        compared,
        verdict=f"{claim} {compared.verdict}{_left_out(spec)}",
        basis=f"{_choice(spec, history, won)} {compared.basis}",
    )


def _leading(spec: JobSpec, last: RoundRecord, leader: EntrySpec) -> CompareReport:
    entries, there = candidates(spec), {trial.label for trial in last.round.trials}
    others = [entry for entry in entries if entry.label in there and entry.label != leader.label]
    compared = make_compare_report(spec, last, [leader, *others])
    said = f"“{leader.label}” leads {len(entries)} candidates so far; none was compared on fresh seeds."
    return replace(compared, verdict=said)


def _choice(spec: JobSpec, history: Sequence[RoundRecord], won: EntrySpec) -> str:
    n_trained = " + ".join(str(len(record.round.trials)) for record in history if record.round.kind == KIND)
    return (
        f"The choice was made by {_basis(spec, history)} ({n_trained} trainings).{_kept(spec, history, won)} On fresh "
        f"seeds the winner stands beside the best candidate of every other method.{_refit(spec)}"
    )


def _basis(spec: JobSpec, history: Sequence[RoundRecord]) -> str:
    """The labels that ranked the candidates, in words."""
    first = history[0].results
    judged = next((one.final.evidence for one in first if one.final and one.final.evidence), None)
    if judged is None:
        if is_by_likelihood(history):
            return "the likelihood of noisy validation labels under the noise's matrix"
        is_given = not spec.data.truth_is_known and not spec.data.trusted_rows.n_validation
        return f"validation accuracy{' against the given labels' if is_given else ''}"
    right = f"validation accuracy on {judged.n_right} right labels"
    if not judged.n_noisy:
        return right
    others = ", others in each round" if turns(spec) > 1 else ""
    if not spec.data.truth_is_known and spec.data.estimate is None:
        return f"agreement with {judged.n_noisy} given labels{others}"
    noisy = f"the accuracy to expect from {judged.n_noisy} noisy labels under the noise's matrix{others}"
    return f"{right} in each round and {noisy}" if judged.n_right else noisy


def _kept(spec: JobSpec, history: Sequence[RoundRecord], won: EntrySpec) -> str:
    """Where the default was kept: which candidate looked better."""
    first = ranked(spec, history)[0]
    if first.label == won.label:
        return ""
    return (
        f" “{first.label}” looked better by no more than {ENOUGH:g} standard errors on noisy labels: too "
        f"little to leave {_as_default(spec, won)}."
    )


def _as_default(spec: JobSpec, won: EntrySpec) -> str:
    return "the job's own method" if won.method == spec.train.method else f"“{won.label}”"


def _left_out(spec: JobSpec) -> str:
    """Candidates that need the matrix of a noise which could not be estimated."""
    if not spec.data.unestimated:
        return ""
    left_out = [f"“{entry.label}”" for entry in entries_of(spec) if needs_matrix(entry)]
    return f" Left out, for want of its matrix: {', '.join(left_out)}." if left_out else ""


def _refit(spec: JobSpec) -> str:
    data = refitted(spec)
    if not (data.trusted.refit or data.refit):
        return ""
    n = spec.data.trusted_rows.n_validation
    rows = f"the {n} trusted rows" if data.trusted.refit else "the rows"
    return (
        f" There every candidate also trains on {rows} that made the choice, so validation accuracy, and the epoch "
        "where it is best, are measured on training rows."
    )
