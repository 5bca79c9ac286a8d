"""The training settings of one trial: the job's, with what this trial alone has different."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from s2e.data.limits import check_sizes
from s2e.door.train import train_problems
from s2e.methods.params import parse_params
from s2e.search.parameters import as_overrides, parse_parameters
from s2e.words import Problem, SpecError, TrainSpec, parse, to_json

if TYPE_CHECKING:  # s2e.words.job asks this module about the parameters a job searches
    from s2e.words import DataSpec, JobSpec


def overridden(data: DataSpec, train: TrainSpec, overrides: Mapping[str, Any], path: str = "train") -> TrainSpec:
    """``train`` with the fields of ``overrides`` in their place, complete and checked.

    ``params`` are merged by name; where the method changes, they start from the paper's values. ``n_epochs`` is one for
    the whole job. Raises SpecError with every field at fault, below ``path``.
    """
    if not overrides:
        return train
    if overrides.get("n_epochs", train.n_epochs) != train.n_epochs:
        raise SpecError(Problem(f"{path}.n_epochs", overrides["n_epochs"], f"{train.n_epochs}, as the whole job"))
    kept = train.params if overrides.get("method", train.method) == train.method else {}
    merged = {**to_json(train), **overrides}
    found = parse(TrainSpec, merged | {"params": overrides.get("params", {})}, path)
    if problems := train_problems(found, path):
        raise SpecError(*problems)
    params = parse_params(found.method, data.name, {**kept, **found.params}, f"{path}.params")
    if problems := params.job_problems(found, data):
        raise SpecError(*(replace(problem, field=re.sub(r"^train\b", path, problem.field)) for problem in problems))
    check_sizes(data, found.batch_size)
    return replace(found, params=to_json(params))


def parameter_problems(spec: JobSpec) -> list[Problem]:
    """What is wrong with ``search.parameters``: a contradiction, a field that is none, a value it must not have."""
    try:
        parameters = parse_parameters(spec.search.parameters)
    except SpecError as error:
        return list(error.problems)
    problems: list[Problem] = []
    for name, parameter in parameters.items():
        for values in parameter.extremes():
            asked = as_overrides(dict(zip(parameter.sets(name), values, strict=True)))
            try:
                overridden(spec.data, spec.train, asked)
            except SpecError as error:
                problems += [_of_parameter(name, problem) for problem in error.problems]
    if not parameters and spec.search.space == "fixed":
        problems.append(Problem("search.parameters", "{}", "at least one: the space fixed has nothing else to search"))
    return problems


def _of_parameter(name: str, problem: Problem) -> Problem:
    return Problem(f"search.parameters.{name}"[:200], problem.value, f"{problem.field}: {problem.allowed}")
