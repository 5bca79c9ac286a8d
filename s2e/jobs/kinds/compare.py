"""Comparison: train the entries of ``compare`` on the same seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from s2e.jobs.compare import compare_round, n_trials, with_fewer_seeds
from s2e.jobs.compare_report import make_compare_report
from s2e.jobs.entries import completed, first_entry, resolved
from s2e.parts import KINDS, JobKind, Lookup
from s2e.words import CompareReport, JobSpec, Problem, Round, RoundRecord, SpecError


class Compare(JobKind):
    """One round: every entry on every seed."""

    name = "compare"
    summary = (
        "Train the entries of compare on the same seeds; of search, only tail_epochs then matters, and of report only "
        "tau and ramp_epochs."
    )
    report = CompareReport
    recommends = False
    exact_rounds = frozenset({"compare"})
    measured_rounds = frozenset({"compare"})

    def resolve(self, spec: JobSpec, lookup: Lookup | None) -> JobSpec:
        """The schedules of entries that name a search."""
        return spec if spec.compare is None else resolved(spec, spec.compare, lookup)

    def check(self, spec: JobSpec) -> JobSpec:
        if spec.compare is None:
            raise SpecError(Problem("compare", None, "required for kind compare"))
        problems: list[Problem] = []
        if spec.trials == "external":
            problems.append(Problem("trials", "external", "internal: the service trains what it compares"))
        spec = completed(spec, spec.compare, problems)
        if problems:
            raise SpecError(*problems)
        return spec

    def n_rounds(self, spec: JobSpec) -> int:  # noqa: ARG002
        return 1

    def n_trials(self, spec: JobSpec) -> int:
        return n_trials(spec)

    def smaller(self, spec: JobSpec) -> Iterator[JobSpec]:
        """Fewer seeds."""
        yield from with_fewer_seeds(spec)

    def next_round(self, spec: JobSpec, history: Sequence[RoundRecord]) -> Round | None:
        return None if history else compare_round(spec)

    def report_of(self, spec: JobSpec, history: Sequence[RoundRecord]) -> CompareReport:
        return make_compare_report(spec, history[0])

    def title(self, spec: JobSpec) -> str:
        assert spec.compare is not None  # refused at the door
        return f"{len(spec.compare.entries)} entries x {spec.compare.n_seeds} seeds"

    def trains(self, spec: JobSpec) -> str:
        assert spec.compare is not None
        return f"{len(spec.compare.entries)} entries compared"

    def entry_of(self, spec: Mapping[str, Any], job_id: str) -> dict[str, Any]:  # noqa: ARG002
        return first_entry(spec)


KINDS.add(Compare.name, Compare(), __name__)
