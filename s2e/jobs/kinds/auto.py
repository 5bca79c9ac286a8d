"""Auto: the method and its schedule, chosen among candidates, beside its rivals on fresh seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from s2e.jobs.auto import (
    JURORS,
    JURY,
    ROUNDS,
    ROUNDS_IN_TURNS,
    ROUNDS_OF_JURORS,
    TURNS,
    candidates,
    final_round,
    finalists,
    halved,
    halving_round,
    n_most_trials,
    n_planned_trials,
    planned_sizes,
    refitted,
    turns,
)
from s2e.jobs.auto_report import make_auto_report
from s2e.jobs.compare import FEWEST_SEEDS, with_fewer_seeds
from s2e.jobs.entries import completed, first_entry, resolved
from s2e.jobs.methods_tried import portfolio, steady
from s2e.parts import KINDS, JobKind, Lookup
from s2e.words import CompareReport, CompareSpec, DataSpec, JobSpec, Problem, Round, RoundRecord, SpecError, replace


class Auto(JobKind):
    """See :mod:`s2e.jobs.auto` for its rounds."""

    name = "auto"
    summary = (
        "Choose a method with its schedule: the entries of compare, or a portfolio, halved over seeds, and the winner "
        "beside every rival's best on fresh ones."
    )
    report = CompareReport
    recommends = False
    exact_rounds = frozenset({"halve", "compare"})
    measured_rounds = frozenset({"compare"})
    judged_rounds = frozenset({"halve"})

    def resolve(self, spec: JobSpec, lookup: Lookup | None) -> JobSpec:
        """The schedules of entries that name a search."""
        return spec if spec.compare is None else resolved(spec, spec.compare, lookup)

    def check(self, spec: JobSpec) -> JobSpec:
        problems: list[Problem] = []
        if spec.trials == "external":
            problems.append(Problem("trials", "external", "internal: the service trains what it chooses among"))
        compare = spec.compare or CompareSpec()
        compare = replace(
            compare,
            refit=True if compare.refit is None else compare.refit,
            turns=TURNS if compare.turns is None else compare.turns,
            jury=compare.jury or JURY,
        )
        compare = _with_rounds(compare, turns(replace(spec, compare=compare)) > 1, problems)
        if not compare.entries:
            entries = portfolio(spec)
            compare = replace(compare, entries=entries, default=compare.default or steady(spec, entries))
        if len(compare.entries) < 2:
            problems.append(Problem("compare.entries", f"{len(compare.entries)} candidates", "at least two"))
        methods = sorted({entry.method for entry in compare.entries})
        if compare.default is not None and compare.default not in methods:
            problems.append(Problem("compare.default", compare.default, f"a candidate's method: {', '.join(methods)}"))
        problems += _too_small(spec, len(compare.entries))
        spec = completed(spec, compare, problems)
        if problems:
            raise SpecError(*problems)
        return spec

    def goes_on_without_noise(self, spec: JobSpec) -> bool:
        """Where two candidates or more need no matrix, and no labels are to be corrected by one."""
        without = replace(spec, data=replace(spec.data, unestimated="so it is"))
        return len(candidates(without)) > 1 and spec.data.validation_labels != "noisy_corrected"

    def n_rounds(self, spec: JobSpec) -> int:
        return len(planned_sizes(spec)) + 1

    def n_trials(self, spec: JobSpec) -> int:
        return n_most_trials(spec)

    def n_planned(self, spec: JobSpec) -> int:
        return n_planned_trials(spec)

    def smaller(self, spec: JobSpec) -> Iterator[JobSpec]:
        """Fewer fresh seeds, then fewer candidates: the last ones go first."""
        yield from with_fewer_seeds(spec)
        assert spec.compare is not None
        for n in range(len(spec.compare.entries) - 1, 1, -1):
            compare = replace(spec.compare, n_seeds=FEWEST_SEEDS, entries=spec.compare.entries[:n])
            yield replace(spec, compare=compare)

    def next_round(self, spec: JobSpec, history: Sequence[RoundRecord]) -> Round | None:
        if history and history[-1].round.kind == "compare":
            return None
        return halving_round(spec, history) or final_round(spec, history)

    def report_of(self, spec: JobSpec, history: Sequence[RoundRecord]) -> CompareReport:
        return make_auto_report(spec, history, finalists(spec, history))

    def data_of(self, spec: JobSpec, round_: Round) -> DataSpec:
        """Once the choice is made, the rows that made it train."""
        return refitted(spec) if round_.kind == "compare" else halved(spec, round_.index)

    def title(self, spec: JobSpec) -> str:
        return f"auto: {len(candidates(spec))} candidates"

    def trains(self, spec: JobSpec) -> str:
        return f"{len(candidates(spec))} candidates"

    def entry_of(self, spec: Mapping[str, Any], job_id: str) -> dict[str, Any]:  # noqa: ARG002
        return first_entry(spec)


def _with_rounds(compare: CompareSpec, is_in_turns: bool, problems: list[Problem]) -> CompareSpec:
    """With the jurors and the rounds of the halving; refused jurors are added to ``problems``."""
    may_stay = is_in_turns and compare.jury == JURY
    if compare.jurors is not None and not may_stay:
        allowed = "null: only where given labels take turns, and in a weighed jury, do jurors stay"
        problems.append(Problem("compare.jurors", compare.jurors, allowed))
    jurors = JURORS if may_stay and compare.jurors is None else compare.jurors
    usual = ROUNDS_OF_JURORS if may_stay else ROUNDS_IN_TURNS if is_in_turns else ROUNDS
    return replace(compare, jurors=jurors, rounds=compare.rounds or usual)


def _too_small(spec: JobSpec, n: int) -> list[Problem]:
    """A budget in which not every candidate is trained once."""
    asked = {"trials": (spec.budget.trials, n), "epochs": (spec.budget.epochs, n * spec.train.n_epochs)}
    return [
        Problem(
            f"budget.{name}",
            given,
            f">= {least}: one training of each of {n} candidates; or fewer of them, in compare.entries",
        )
        for name, (given, least) in asked.items()
        if given is not None and given < least
    ]


KINDS.add(Auto.name, Auto(), __name__)
