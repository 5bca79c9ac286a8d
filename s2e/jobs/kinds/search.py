"""Search: find a schedule, and compare it with its rivals on fresh seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from s2e.door.overrides import overridden
from s2e.jobs.final import final_round, n_final_rounds, n_final_trials
from s2e.jobs.search import make_searcher, recommend_from, search_round, sizes
from s2e.jobs.search_report import make_report
from s2e.jobs.trusted_rows import refitted
from s2e.parts import KINDS, METHODS, SEARCHERS, JobKind, Lookup
from s2e.search.parameters import Choice, Parameter, as_overrides, parse_parameters, searched_conditions
from s2e.words import (
    Condition,
    DataSpec,
    EarlierTrials,
    JobSpec,
    Problem,
    Report,
    Round,
    RoundRecord,
    SpecError,
    conditions,
    replace,
)

SHARES = (0.8, 0.6, 0.45, 0.3, 0.2, 0.12, 0.07, 0.04)
"""Of a job's trainings, tried in turn where there is no time for all."""
FEWEST_WITH_CHOICE = 0.45
"""Below, fresh seeds compare, and none are left to choose among candidates."""


class Search(JobKind):
    """See :mod:`s2e.jobs.search` for its rounds."""

    name = "search"
    summary = "Find a schedule, and compare it with its rivals on fresh seeds."
    report = Report
    recommends = True
    exact_rounds = frozenset({"choose", "retrain"})
    measured_rounds = frozenset({"retrain"})

    def resolve(self, spec: JobSpec, lookup: Lookup | None) -> JobSpec:
        """The trials of ``search.warm_start``, put into ``search.earlier``."""
        search = spec.search
        able = SEARCHERS[search.searcher].warm_start  # another is refused for that
        if not search.warm_start or not able or (lookup is None and search.earlier):
            return spec
        if lookup is None:
            allowed = "none outside of a service, which looks these jobs up; without one, fill search.earlier"
            raise SpecError(Problem("search.warm_start", ", ".join(search.warm_start)[:80], allowed))
        earlier = tuple(_trials_of(lookup, job_id) for job_id in search.warm_start)
        return replace(spec, search=replace(search, earlier=earlier))

    def check(self, spec: JobSpec) -> JobSpec:
        problems = [] if spec.compare is None else [Problem("compare", "given", "nothing: the job's kind is search")]
        if problems := problems + _report_problems(spec) + _parameter_problems(spec):
            raise SpecError(*problems)
        if spec.report.trusted is None:
            has_rows = spec.data.trusted.is_declared and spec.trials == "internal"
            spec = replace(spec, report=replace(spec.report, trusted=has_rows))
        return spec

    def data_of(self, spec: JobSpec, round_: Round) -> DataSpec:
        """Once the schedules are ranked, the trusted rows that ranked them train."""
        return refitted(spec) if round_.kind == "retrain" else spec.data

    def n_rounds(self, spec: JobSpec) -> int:
        return len(sizes(spec)) + n_final_rounds(spec)

    def n_trials(self, spec: JobSpec) -> int:
        return sum(sizes(spec)) + n_final_trials(spec)

    def smaller(self, spec: JobSpec) -> Iterator[JobSpec]:
        """Fewer rounds of fewer trials, a rival that is tuned as much, and fewer fresh seeds at the first look."""
        yield spec
        for share in SHARES:
            with suppress(SpecError):  # a rule that needs more rounds or trials
                smaller = _shrunk(spec, share)
                sizes(smaller)
                yield smaller

    def n_planned(self, spec: JobSpec) -> int:
        report = replace(spec.report, max_seeds=spec.report.n_seeds)
        return self.n_trials(replace(spec, report=report))

    def n_search_rounds(self, spec: JobSpec) -> int:
        return spec.search.n_rounds

    def n_widest(self, spec: JobSpec) -> int:
        return spec.search.n_trials

    def next_round(self, spec: JobSpec, history: Sequence[RoundRecord]) -> Round | None:
        return search_round(spec, history, make_searcher(spec)) or final_round(spec, history)

    def report_of(self, spec: JobSpec, history: Sequence[RoundRecord]) -> Report:
        return make_report(spec, history, recommend_from(spec, history))

    def title(self, spec: JobSpec) -> str:
        return f"{spec.search.searcher}, {spec.search.n_rounds} x {spec.search.n_trials}"

    def trains(self, spec: JobSpec) -> str:
        return spec.train.method

    def entry_of(self, spec: Mapping[str, Any], job_id: str) -> dict[str, Any]:
        """The method under the schedule that the search recommends."""
        train = spec["train"]
        return {"method": train["method"], "params": train["params"], "schedule": {"kind": "job", "job": job_id}}


KINDS.add(Search.name, Search(), __name__)


def _shrunk(spec: JobSpec, share: float) -> JobSpec:
    search, report = spec.search, spec.report
    n_rounds, n_trials = (max(2, round(n * share**0.5)) for n in (search.n_rounds, search.n_trials))
    tuned = (
        None if report.taus is not None or report.tuned_trials is None else max(1, round(report.tuned_trials * share))
    )
    n_seeds = max(2, round(report.n_seeds * share))
    return replace(
        spec,
        search=replace(search, n_rounds=min(n_rounds, search.n_rounds), n_trials=min(n_trials, search.n_trials)),
        report=replace(
            report,
            tuned_trials=tuned,
            n_candidates=report.n_candidates if share >= FEWEST_WITH_CHOICE else 1,
            n_seeds=n_seeds,
            max_seeds=None if report.max_seeds is None else max(n_seeds, round(report.max_seeds * share)),
        ),
    )


def _trials_of(lookup: Lookup, job_id: str) -> EarlierTrials:
    earlier = lookup.trials_of(job_id)
    if earlier is None:
        raise SpecError(Problem("search.warm_start", job_id, "ids of jobs that exist"))
    if not earlier.points:
        raise SpecError(Problem("search.warm_start", job_id, "jobs with at least one succeeded full training"))
    return earlier


def _report_problems(spec: JobSpec) -> list[Problem]:
    """Fields of the final comparison that contradict each other."""
    report, problems = spec.report, []
    if report.trusted and not spec.data.trusted.is_declared:
        problems.append(Problem("report.trusted", True, "false, or rows that are known to be right, in data.trusted"))
    if report.trusted and spec.trials == "external":
        problems.append(Problem("report.trusted", True, "false: your own program trains"))
    if report.max_seeds is not None and report.max_seeds < report.n_seeds:
        problems.append(Problem("report.max_seeds", report.max_seeds, f">= n_seeds = {report.n_seeds}"))
    if report.taus is not None and report.tuned_trials is not None:
        allowed = "null beside taus, which has one trial for each value"
        problems.append(Problem("report.tuned_trials", report.tuned_trials, allowed))
    return problems


def _parameter_problems(spec: JobSpec) -> list[Problem]:
    """A contradiction in ``search.parameters``, a field that is none, a value it must not have."""
    try:
        parameters = parse_parameters(spec.search.parameters)
    except SpecError as error:
        return list(error.problems)
    problems: list[Problem] = []
    if not _is_sound(spec):  # which is refused by itself
        return problems
    of_settings = searched_conditions(parameters, conditions(METHODS[spec.train.method]))
    for name, parameter in parameters.items():
        beside, wrong = _beside(name, parameters, of_settings)
        problems += wrong
        for values in () if wrong else parameter.extremes():
            asked = as_overrides({**beside, **dict(zip(parameter.sets(name), values, strict=True))})
            try:
                overridden(spec, asked)
            except SpecError as error:
                problems += [_of_parameter(name, problem) for problem in error.problems]
    if not parameters and spec.search.space == "fixed":
        problems.append(Problem("search.parameters", "{}", "at least one: the space fixed has nothing else to search"))
    return problems


def _beside(
    name: str, parameters: Mapping[str, Parameter], of_settings: Mapping[str, Condition]
) -> tuple[dict[str, Any], list[Problem]]:
    """A value of another searched parameter beside which this one counts, by its field; or the refusal."""
    if name not in of_settings:
        return {}, []
    condition = of_settings[name]
    decides = parameters[condition.other]
    if not isinstance(decides, Choice):
        return {}, [Problem(f"search.parameters.{condition.other}", type(decides).__name__.lower(), "kind choice")]
    for value in decides.values:
        if value in condition.values:
            return {condition.other: value}, []
    allowed = f"{' or '.join(map(str, condition.values))} among them: else {name} has no effect"
    return {}, [Problem(f"search.parameters.{condition.other}.values", list(decides.values), allowed)]


def _is_sound(spec: JobSpec) -> bool:
    """True if the job's own training settings can be trained."""
    try:
        overridden(spec, {"n_epochs": spec.train.n_epochs})
    except SpecError:
        return False
    return True


def _of_parameter(name: str, problem: Problem) -> Problem:
    return Problem(f"search.parameters.{name}"[:200], problem.value, f"{problem.field}: {problem.allowed}")
