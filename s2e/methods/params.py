"""Hyperparameters of the methods: typed, documented, with the papers' defaults. Imports no torch, so the API can check.

A method's class of parameters is named on its line of :data:`s2e.catalog.METHODS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from s2e import catalog
from s2e.errors import Problem, SpecError
from s2e.validation import param, parse


@dataclass(frozen=True)
class Params:
    """The hyperparameters of a method that has none."""

    per_dataset: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Defaults of the paper that differ from the fields' own, by name of the data set."""


def parse_params(method: str, dataset: str, data: Any, path: str = "train.params") -> Params:
    """The parameters of ``method``, the paper's values for ``dataset`` where ``data`` names none.

    Raises SpecError with every unknown name and every value out of its range.
    """
    kind: type[Params] = catalog.params_of(method)
    if not isinstance(data, Mapping):
        raise SpecError(Problem(path, repr(data)[:80], "must be an object"))
    return parse(kind, {**kind.per_dataset.get(dataset, {}), **data}, path)


@dataclass(frozen=True)
class Decoupling(Params):
    """Decoupling (Malach & Shalev-Shwartz 2017)."""

    warm_up_epochs: int = param(0, ge=0, le=10_000, doc="first epochs, in which every sample counts")


@dataclass(frozen=True)
class CoTeachingPlus(Params):
    """Co-teaching+ (Yu et al. 2019); defaults from its official program."""

    warm_up_epochs: int = param(
        20, ge=0, le=10_000, doc="first epochs, of plain Co-teaching (CIFAR-10 20; MNIST, and so digits, 0)"
    )

    per_dataset = {"mnist": {"warm_up_epochs": 0}, "digits": {"warm_up_epochs": 0}}  # noqa: RUF012 - a ClassVar
