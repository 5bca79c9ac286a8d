"""The entries of a comparison at the door: schedules taken from searches, settings completed, refusals by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from s2e.door.overrides import overridden
from s2e.parts import Lookup
from s2e.words import CompareSpec, EntrySpec, JobSpec, Problem, ScheduleSpec, SpecError, replace

RESERVED = re.compile(r"search|default|all|(searched|tuned)( \d+)?|tau=.*")
"""Labels that the trials of a search have."""
_OWN = ("method", "params")
_OF_KIND = {"tau": ("tau",), "scaled": ("factor",), "list": ("keep_rate",), "job": ("job", "keep_rate")}
"""Fields of a schedule that its kind uses."""


def resolved(spec: JobSpec, compare: CompareSpec, lookup: Lookup | None) -> JobSpec:
    """The job with the schedule of every entry that names a search. Raises SpecError for one that recommends none."""
    entries = tuple(
        _resolved(spec, entry, lookup, f"compare.entries[{i}].schedule") for i, entry in enumerate(compare.entries)
    )
    return replace(spec, compare=replace(compare, entries=entries))


def _resolved(spec: JobSpec, entry: EntrySpec, lookup: Lookup | None, path: str) -> EntrySpec:
    """The entry with R(t) and the searched settings of the job it names; the entry's own settings win."""
    schedule = entry.schedule
    if schedule.kind != "job" or not schedule.job or (lookup is None and schedule.keep_rate):
        return entry
    if lookup is None:
        allowed = "a job of a service, which looks its schedule up; without one, give keep_rate"
        raise SpecError(Problem(f"{path}.job", schedule.job, allowed))
    if schedule.keep_rate:
        raise SpecError(Problem(f"{path}.keep_rate", "given", "nothing: it is taken from the job"))
    search = lookup.report_of(schedule.job)
    if search is None:
        raise SpecError(Problem(f"{path}.job", schedule.job, "a completed search that recommends a schedule"))
    if len(search.keep_rate) != spec.train.n_epochs:
        allowed = f"a search of {spec.train.n_epochs} epochs, as this job; this one has {len(search.keep_rate)}"
        raise SpecError(Problem(f"{path}.job", schedule.job, allowed))
    train = dict(search.train)
    params = train.pop("params", {}) if search.method == entry.method else {}
    train.pop("params", None)
    return replace(
        entry,
        schedule=replace(schedule, keep_rate=search.keep_rate),
        params={**entry.params, **params},
        train={**train, **entry.train},
    )


def first_entry(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The first entry of a job, both plain JSON, without its label."""
    first = spec["compare"]["entries"][0]
    return {name: first[name] for name in ("method", "params", "schedule", "train") if name in first}


def completed(spec: JobSpec, compare: CompareSpec, problems: list[Problem]) -> JobSpec:
    """The job with every label and hyperparameter of its entries filled in; errors go to ``problems``."""
    if not compare.entries:
        problems.append(Problem("compare.entries", "[]", "at least one entry"))
    entries = []
    for i, entry in enumerate(compare.entries):
        path = f"compare.entries[{i}]"
        entry = replace(entry, label=entry.label or entry.method)
        problems += _label_problems(entry.label, path) + _schedule_problems(entry.schedule, spec.train.n_epochs, path)
        try:
            entries.append(_completed(spec, entry, path))
        except SpecError as error:
            problems += [_of_entry(path, problem) for problem in error.problems]
    twice = [label for label, n in Counter(e.label or e.method for e in compare.entries).items() if n > 1]
    problems += [Problem("compare.entries", label, "labels that differ: this one is given twice") for label in twice]
    return replace(spec, compare=replace(compare, entries=tuple(entries)))


def _completed(spec: JobSpec, entry: EntrySpec, path: str) -> EntrySpec:
    """Raises SpecError with fields below ``train``."""
    if misplaced := [name for name in _OWN if name in entry.train]:
        raise SpecError(*(Problem(f"train.{name}", "given", f"{path}.{name}, its own field") for name in misplaced))
    return replace(entry, params=overridden(spec, entry.overrides).params)


def _of_entry(path: str, problem: Problem) -> Problem:
    """A problem of a job's ``train`` as one of an entry: method and params are fields of the entry itself."""
    root, _, rest = problem.field.partition(".")
    if root != "train":
        return problem
    own = rest.partition(".")[0] in _OWN and problem.value != "given"
    return replace(problem, field=f"{path}.{rest}" if own else f"{path}.train.{rest}")


def _label_problems(label: str, path: str) -> list[Problem]:
    if RESERVED.fullmatch(label) or not (label.isascii() and label.isprintable() and label.strip() == label):
        allowed = "printable ASCII text without outer spaces, and none of a search's own: search, searched, tuned, ..."
        return [Problem(f"{path}.label", label, allowed)]
    return []


def _schedule_problems(schedule: ScheduleSpec, n_epochs: int, path: str) -> list[Problem]:
    """A schedule that its kind leaves open, that has a field of another kind, or that does not fit the epochs."""
    path = f"{path}.schedule"
    given: Mapping[str, Any] = {name: getattr(schedule, name) for name in ("tau", "factor", "keep_rate", "job")}
    of_kind = _OF_KIND.get(schedule.kind, ())
    problems = [
        Problem(f"{path}.{name}", "given", f"nothing: the kind is {schedule.kind}")
        for name, value in given.items()
        if value not in (None, (), "") and name not in of_kind
    ]
    if of_kind and given[of_kind[0]] in (None, (), ""):
        problems.append(Problem(f"{path}.{of_kind[0]}", given[of_kind[0]], f"required for kind {schedule.kind}"))
    keep_rate = schedule.keep_rate
    if keep_rate and "keep_rate" in of_kind:
        if len(keep_rate) != n_epochs:
            allowed = f"one value for each of {n_epochs} epochs"
            problems.append(Problem(f"{path}.keep_rate", f"{len(keep_rate)} values", allowed))
        if keep_rate[0] != 1:
            problems.append(Problem(f"{path}.keep_rate[0]", keep_rate[0], "1: training begins with every sample"))
    return problems
