"""What every class of hyperparameters has, and the door they come in by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from s2e import catalog
from s2e.errors import Problem, SpecError
from s2e.validation import parse


@dataclass(frozen=True)
class Params:
    """The hyperparameters of a method that has none."""

    per_dataset: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Defaults of the paper that differ from the fields' own, by name of the data set."""

    def problems(self, path: str) -> list[Problem]:  # noqa: ARG002
        """What is wrong between two values that are each in range."""
        return []


def parse_params(method: str, dataset: str, data: Any, path: str = "train.params") -> Params:
    """The parameters of ``method``, the paper's values for ``dataset`` where ``data`` names none.

    Raises SpecError with every unknown name and every value out of its range.
    """
    kind: type[Params] = catalog.params_of(method)
    if not isinstance(data, Mapping):
        raise SpecError(Problem(path, repr(data)[:80], "must be an object"))
    params = parse(kind, {**kind.per_dataset.get(dataset, {}), **data}, path)
    if problems := params.problems(path):
        raise SpecError(*problems)
    return params


def need_problems(method: str, *, n_clean: int) -> list[Problem]:
    """What ``method`` cannot train without and this job does not give."""
    if "clean" in catalog.METHODS[method].needs and n_clean == 0:
        return [Problem("data.n_clean", n_clean, f">= 1 for method {method}, which learns from trusted samples")]
    return []
