"""The training settings of one trial: the job's, with what this trial alone has different."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s2e.data.limits import check_sizes
from s2e.errors import Problem, SpecError
from s2e.methods.params import parse_params
from s2e.spec import DataSpec, TrainSpec, parse, replace, to_json
from s2e.train_spec import train_problems


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
    check_sizes(data, found.batch_size)
    return replace(found, params=to_json(params))
