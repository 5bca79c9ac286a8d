"""The entries of a comparison: completed, and refused by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from s2e.door.overrides import overridden
from s2e.methods.params import need_problems, parse_params
from s2e.words.compare import CompareSpec, EntrySpec, ScheduleSpec
from s2e.words.data import DataSpec
from s2e.words.errors import Problem, SpecError
from s2e.words.train import TrainSpec

RESERVED = re.compile(r"search|default|all|(searched|tuned)( \d+)?|tau=.*")
"""Labels that the trials of a search have."""
_OWN = ("method", "params")


def complete(compare: CompareSpec, data: DataSpec, train: TrainSpec) -> tuple[CompareSpec, list[Problem]]:
    """The comparison with every label and hyperparameter filled in, and all that is wrong with it."""
    if not compare.entries:
        return compare, [Problem("compare.entries", "[]", "at least one entry")]
    problems: list[Problem] = []
    entries = []
    for i, entry in enumerate(compare.entries):
        path = f"compare.entries[{i}]"
        entry = replace(entry, label=entry.label or entry.method)
        problems += _label_problems(entry.label, path) + _schedule_problems(entry.schedule, train.n_epochs, path)
        try:
            entries.append(_complete_entry(entry, data, train, path))
        except SpecError as error:
            problems += [_of_entry(path, problem) for problem in error.problems]
    twice = [label for label, n in Counter(entry.label or entry.method for entry in compare.entries).items() if n > 1]
    problems += [Problem("compare.entries", label, "labels that differ: this one is given twice") for label in twice]
    return (compare if problems else replace(compare, entries=tuple(entries))), problems


def _complete_entry(entry: EntrySpec, data: DataSpec, train: TrainSpec, path: str) -> EntrySpec:
    """Raises SpecError with fields below ``train``."""
    if misplaced := [name for name in _OWN if name in entry.train]:
        raise SpecError(*(Problem(f"train.{name}", "given", f"{path}.{name}, its own field") for name in misplaced))
    found = overridden(data, train, entry.overrides)
    params = parse_params(found.method, data.name, found.params)
    problems = params.job_problems(found, data) + need_problems(found.method, n_clean=data.n_clean)
    if problems:
        raise SpecError(*problems)
    return replace(entry, params=found.params)


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
    given: Mapping[str, Any] = {"tau": schedule.tau, "keep_rate": schedule.keep_rate, "job": schedule.job}
    of_kind = {"tau": ("tau",), "list": ("keep_rate",), "job": ("job", "keep_rate")}.get(schedule.kind, ())
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
