"""From plain JSON to a job: parsed once, completed, and refused with all its problems."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import Any

from s2e.door.audit import audit_problems, with_audit
from s2e.door.budget import too_small
from s2e.door.data import (
    label_problems,
    registered_problems,
    table_problems,
    validation_problems,
    with_label_contract,
    with_open_sizes,
)
from s2e.door.plan import plan_problems, settled
from s2e.door.protocols import expand
from s2e.door.train import train_problems
from s2e.parts import DATASETS, KINDS, METHODS, NETWORKS, NOISE, SEARCHERS, SPACES, JobKind, Lookup, Part
from s2e.words.errors import Problem, SpecError
from s2e.words.fields import parse, to_json
from s2e.words.job import JobSpec

CHOICES = (
    ("data.noise", "kind", "params", NOISE),
    ("data", "name", "params", DATASETS),
    ("train", "method", "params", METHODS),
    ("train", "network", "network_params", NETWORKS),
    ("search", "searcher", "params", SEARCHERS),
    ("search", "space", "space_params", SPACES),
)
"""Section of a job, field that names a part, field that holds the part's settings, where the part is found."""


def parse_job(body: Any, lookup: Lookup | None = None) -> JobSpec:
    """A JobSpec from plain JSON. Raises SpecError with all problems.

    The settings of every part, and all that a protocol stands for, come back complete: a stored job keeps its numbers
    when a default changes. ``lookup`` finds the other jobs that this one names.
    """
    spec = parse(JobSpec, with_open_sizes(with_label_contract(expand(body))))
    kind, problems = KINDS[spec.kind], list[Problem]()
    spec, parts = _completed(spec, problems)
    try:
        spec = kind.resolve(with_audit(spec, lookup), lookup)
    except SpecError as error:
        problems += error.problems
    for part in parts:
        problems += [problem for problem in part.problems(spec) if problem not in problems]
    problems += train_problems(spec.train) + table_problems(spec.data) + label_problems(spec)
    problems += audit_problems(spec) + plan_problems(spec)
    problems += registered_problems(spec.data)
    if not any(problem.field.startswith("data.") for problem in problems):
        problems += validation_problems(spec.data)
    try:
        spec = kind.check(spec)
    except SpecError as error:
        problems += [problem for problem in error.problems if problem not in problems]
    if problems := problems or _unplannable(kind, spec):
        raise SpecError(*problems)
    return spec


def _completed(spec: JobSpec, problems: list[Problem]) -> tuple[JobSpec, list[Part]]:
    """The job with every setting of its parts, and those parts; parts that cannot be completed go to ``problems``."""
    parts: list[Part] = []
    sections: dict[str, dict[str, Any]] = {section: {} for section, *_ in CHOICES}
    for section, choice, field, registry in CHOICES:
        chosen = attrgetter(section)(spec)
        try:
            part = registry.find(getattr(chosen, choice), f"{section}.{choice}").of(
                getattr(chosen, field), f"{section}.{field}", dataset=spec.data.name
            )
        except SpecError as error:
            problems += error.problems
        else:
            parts.append(part)
            sections[section][field] = to_json(part)
    sections["data"]["noise"] = replace(spec.data.noise, **sections.pop("data.noise"))
    changed = {section: replace(getattr(spec, section), **fields) for section, fields in sections.items()}
    return replace(spec, plan=settled(spec.plan), **changed), parts


def _unplannable(kind: JobKind, spec: JobSpec) -> list[Problem]:
    """A budget too small for the searcher; a rule or a space of another package that fails as soon as it is used."""
    try:
        kind.n_trials(spec)
        if spec.budget.trials is not None or spec.budget.epochs is not None:
            # its size does not depend on tau, which may have to be estimated first
            first = kind.next_round(replace(spec, report=replace(spec.report, tau=spec.report.tau or 0.0)), ())
            assert first is not None  # every job has a round
            return too_small(spec, first)
    except SpecError as error:
        return list(error.problems)
    except (Exception, SystemExit) as error:
        used = (SEARCHERS[spec.search.searcher], SPACES[spec.search.space])
        if all(part.is_ours() for part in used):
            raise
        allowed = f"one that can plan this search: {type(error).__name__}: {error}"
        return [Problem(part.field, part.name, allowed) for part in used if not part.is_ours()]
    return []
