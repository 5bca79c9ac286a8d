"""Every rule of a job, run once, at submission."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from s2e.data.limits import sample_shape, size_problems
from s2e.data.normalisation import normalise_problems
from s2e.door.compare import complete
from s2e.door.data import data_problems
from s2e.door.overrides import parameter_problems
from s2e.door.protocols import expand
from s2e.door.report import report_problems
from s2e.door.search import earlier_problems, searcher_problems
from s2e.door.train import train_problems
from s2e.methods.params import need_problems, parse_params
from s2e.networks.limits import image_problems
from s2e.networks.params import parse_network_params
from s2e.words.errors import Problem, SpecError
from s2e.words.fields import parse, to_json
from s2e.words.job import JobSpec
from s2e.words.train import TrainSpec


def _complete(spec: JobSpec, problems: list[Problem]) -> TrainSpec:
    """The training with every hyperparameter of its method and network; refusals go to ``problems``."""
    train = spec.train
    try:
        params = parse_params(train.method, spec.data.name, train.params)
        problems += params.job_problems(train, spec.data)
        train = replace(train, params=to_json(params))
    except SpecError as error:
        problems += error.problems
    try:
        train = replace(train, network_params=to_json(parse_network_params(train.network, train.network_params)))
    except SpecError as error:
        problems += error.problems
    return train


def parse_job(data: Any) -> JobSpec:
    """A JobSpec from plain JSON, with the rules that join two fields. Raises SpecError with all problems.

    ``train.params``, ``train.network_params`` and all that a protocol stands for come back complete: a stored job keeps
    its numbers when a default changes.
    """
    spec = parse(JobSpec, expand(data))
    problems: list[Problem] = []
    spec = replace(spec, train=_complete(spec, problems))
    problems += searcher_problems(spec.search.searcher, spec.search.n_trials, spec.trials)
    search = spec.search
    problems += earlier_problems(search.searcher, search.space, search.parameters, search.warm_start, search.earlier)
    problems += image_problems(spec.train.network, sample_shape(spec.data.name))
    problems += train_problems(spec.train)
    problems += data_problems(spec.data, spec.train.augment)
    problems += normalise_problems(spec.data)
    problems += need_problems(spec.train.method, n_clean=spec.data.n_clean)
    problems += size_problems(spec.data, spec.train.batch_size)
    problems += report_problems(spec.report)
    problems = problems or parameter_problems(spec)
    spec, found = _with_complete_entries(spec)
    problems += found
    if problems:
        raise SpecError(*problems)
    return spec


def _with_complete_entries(spec: JobSpec) -> tuple[JobSpec, list[Problem]]:
    """A comparison with its entries complete, and what is wrong with them or with their being there."""
    if spec.kind == "search":
        given = [] if spec.compare is None else [Problem("compare", "given", "nothing: the job's kind is search")]
        return spec, given
    if spec.compare is None:
        return spec, [Problem("compare", None, "required for kind compare")]
    compare, problems = complete(spec.compare, spec.data, spec.train)
    if spec.trials == "external":
        problems.append(Problem("trials", "external", "internal: the service trains what it compares"))
    return replace(spec, compare=compare), problems
