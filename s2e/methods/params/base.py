"""What every class of hyperparameters has, and the door they come in by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from s2e import catalog
from s2e.words import Problem, SpecError, parse

if TYPE_CHECKING:
    from s2e.words import DataSpec, TrainSpec


@dataclass(frozen=True)
class Params:
    """The hyperparameters of a method that has none."""

    per_dataset: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Defaults of the paper that differ from the fields' own, by name of the data set."""

    def job_problems(self, train: TrainSpec, data: DataSpec) -> list[Problem]:  # noqa: ARG002
        """What these values, each in range, ask that the job does not give."""
        return []


def parse_params(method: str, dataset: str, data: Any, path: str = "train.params") -> Params:
    """The parameters of ``method``, the paper's values for ``dataset`` where ``data`` names none.

    Raises SpecError with every unknown name and every value out of its range.
    """
    kind: type[Params] = catalog.params_of(method)
    if not isinstance(data, Mapping):
        raise SpecError(Problem(path, repr(data)[:80], "must be an object"))
    return parse(kind, {**kind.per_dataset.get(dataset, {}), **data}, path)


def stage_problems(epoch: int, train: TrainSpec, field: str, value: int) -> list[Problem]:
    """A problem if the stage that begins at ``epoch``, set by ``field``, never comes."""
    if epoch < train.n_epochs:
        return []
    return [Problem(f"train.params.{field}", value, f"a stage that begins before the last of {train.n_epochs} epochs")]


def need_problems(method: str, *, n_clean: int) -> list[Problem]:
    """What ``method`` cannot train without and this job does not give."""
    if "clean" in catalog.METHODS[method].needs and n_clean == 0:
        return [Problem("data.n_clean", n_clean, f">= 1 for method {method}, which learns from trusted samples")]
    return []
