"""The training settings of one trial: the job's, with those that this trial changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s2e.door.train import train_problems
from s2e.parts import DATASETS, METHODS, NETWORKS
from s2e.words import JobSpec, Problem, SpecError, TrainSpec, idle, parse, read, replace, to_json

_OWNED = {"method": "params", "network": "network_params"}
"""Field that names a part -> field of its settings."""


def merged(train: TrainSpec, overrides: Mapping[str, Any]) -> TrainSpec:
    """``train`` with the fields of ``overrides`` in their place.

    Settings of the method and of the network are merged by name; where the method or network is another, they are the
    override's alone. A setting of the job that has no effect beside the override's falls back to its default. Nothing
    is judged: a stored job's overrides were, at submission.
    """
    return read(TrainSpec, _laid_over(train, overrides)) if overrides else train


def _laid_over(train: TrainSpec, overrides: Mapping[str, Any]) -> dict[str, Any]:
    owned: dict[str, Any] = {}
    for choice, field in _OWNED.items():
        kept = getattr(train, field) if overrides.get(choice, getattr(train, choice)) == getattr(train, choice) else {}
        own = overrides.get(field, {})
        owned[field] = {**kept, **own} if isinstance(own, Mapping) else own
    if isinstance(own := overrides.get("params"), Mapping) and overrides.get("method", train.method) == train.method:
        owned["params"] = _with_effect(train, own)
    return {**to_json(train), **overrides, **owned}


def _with_effect(train: TrainSpec, own: Mapping[str, Any]) -> dict[str, Any]:
    """The job's settings of its method and an override's own, but for those that these have robbed of their effect."""
    part, params = METHODS.get(train.method), {**train.params, **own}
    robbed = set() if part is None else set(idle(part, params)) - set(idle(part, train.params)) - set(own)
    return {name: value for name, value in params.items() if name not in robbed}


def overridden(job: JobSpec, overrides: Mapping[str, Any]) -> TrainSpec:
    """The settings of a trial, complete and checked; ``n_epochs`` is one for the whole job.

    Raises SpecError with every field at fault, below ``train``.
    """
    if not overrides:
        return job.train
    n_epochs = job.train.n_epochs
    if overrides.get("n_epochs", n_epochs) != n_epochs:
        raise SpecError(Problem("train.n_epochs", overrides["n_epochs"], f"{n_epochs}, as the whole job"))
    train = parse(TrainSpec, _laid_over(job.train, overrides), "train")
    if problems := train_problems(train):
        raise SpecError(*problems)
    method = METHODS.find(train.method, "train.method").of(train.params, dataset=job.data.name)
    network = NETWORKS.find(train.network, "train.network").of(train.network_params)
    train = replace(train, params=to_json(method), network_params=to_json(network))
    changed = replace(job, train=train)
    dataset = DATASETS[job.data.name].of(job.data.params, "data.params")
    if problems := [*method.problems(changed), *network.problems(changed), *dataset.problems(changed)]:
        raise SpecError(*problems)
    return train
