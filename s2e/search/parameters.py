"""Training parameters searched beside R(t), or instead of it: what a job's ``search.parameters`` may hold.

A parameter is one block of a Space, and a map from its coordinates to values:

    linear    low + u (high - low)                              u ~ Beta
    log       low (high / low)^u                                u ~ Beta
    integer   low + floor(n u), n = high - low + 1 equal bins   u ~ Beta
    choice    the value of the largest weight                   weights ~ Dirichlet
    simplex   total x weights, one weight for each field        weights ~ Dirichlet

A parameter may count only beside some values of another one, a choice (``train.params.dropped_weight`` only where
dropped samples are used): elsewhere it sets nothing, and all its features are 0.

The density is over the coordinates, never over the rounded values, so score, Fisher matrix, divergence and whitening
are those of Beta and Dirichlet, exactly, for every search rule; theta = 1 is uniform over bins and over values.

Shapes: X coordinates of a parameter, S samples or points, F features.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from s2e.search.distributions import Array, Beta, Block, Dirichlet
from s2e.words import Condition, Problem, SpecError, param, parse

PREFIX = "train."
FIXED_FIELDS = ("method", "network", "n_epochs", "params")
"""Fields of ``train`` that are the same for all trials of a job: trials that differ in them are not comparable."""
MOST_PARAMETERS = 50


class Parameter(Protocol):
    """One searched parameter; ``name`` is its key in ``search.parameters``."""

    def block(self, name: str) -> Block:
        """The block of the space that holds its coordinates."""

    def sets(self, name: str) -> tuple[str, ...]:
        """Fields of the job it sets, such as ``train.learning_rate``."""

    def at(self, x_X: Array) -> tuple[Any, ...]:
        """The value of each field at a point."""

    def features(self, x_SX: Array) -> Array:
        """Its values on a scale of unit length, for a surrogate: (S, F)."""

    def features_of(self, values: Sequence[Any]) -> list[float]:
        """The features of values given by a user, possibly out of range: F numbers."""

    def extremes(self) -> list[tuple[Any, ...]]:
        """Values that have to be allowed, one for each field."""

    def problems(self, path: str) -> list[Problem]:
        """Its contradictions."""


@dataclass(frozen=True)
class _Interval:
    """A number between two bounds; the coordinate u is one Beta."""

    low: float = param(doc="smallest value")
    high: float = param(doc="largest value")

    def block(self, name: str) -> Block:
        return Beta(name)

    def sets(self, name: str) -> tuple[str, ...]:
        return (name,)

    def features(self, x_SX: Array) -> Array:
        return x_SX

    def extremes(self) -> list[tuple[Any, ...]]:
        return [(self.low,), (self.high,)]

    def problems(self, path: str) -> list[Problem]:
        return [] if self.low < self.high else [Problem(f"{path}.high", self.high, f"> {self.low}, the lower bound")]


@dataclass(frozen=True)
class Linear(_Interval):
    """Uniform between its bounds at theta = 1."""

    def at(self, x_X: Array) -> tuple[Any, ...]:
        return (min(self.high, self.low + float(x_X[0]) * (self.high - self.low)),)

    def features_of(self, values: Sequence[Any]) -> list[float]:
        return [(values[0] - self.low) / (self.high - self.low)]


@dataclass(frozen=True)
class Log(_Interval):
    """Its logarithm is uniform between the bounds at theta = 1."""

    def at(self, x_X: Array) -> tuple[Any, ...]:
        value = self.low * math.exp(float(x_X[0]) * math.log(self.high / self.low))
        return (min(self.high, max(self.low, value)),)

    def features_of(self, values: Sequence[Any]) -> list[float]:
        return [math.log(max(values[0], self.low * 1e-6) / self.low) / math.log(self.high / self.low)]

    def problems(self, path: str) -> list[Problem]:
        if self.low <= 0:
            return [Problem(f"{path}.low", self.low, "> 0 on a logarithmic scale")]
        return super().problems(path)


@dataclass(frozen=True)
class Integer(_Interval):
    """Whole numbers, bounds included, each in a bin of equal width."""

    low: int = param(doc="smallest value")
    high: int = param(doc="largest value")

    def at(self, x_X: Array) -> tuple[Any, ...]:
        return (int(self._of(x_X)[0]),)

    def features(self, x_SX: Array) -> Array:
        return (self._of(x_SX) - self.low) / (self.high - self.low)

    def features_of(self, values: Sequence[Any]) -> list[float]:
        return [(values[0] - self.low) / (self.high - self.low)]

    def _of(self, u: Array) -> Array:
        n = self.high - self.low + 1
        return np.asarray(self.low + np.clip(np.floor(n * u), 0, n - 1))


@dataclass(frozen=True)
class Choice:
    """One of a few values, without an order among them."""

    values: tuple[Any, ...] = param(max_length=100, doc="texts, numbers or truth values, at least two")

    def block(self, name: str) -> Block:
        return Dirichlet(name, len(self.values))

    def sets(self, name: str) -> tuple[str, ...]:
        return (name,)

    def at(self, x_X: Array) -> tuple[Any, ...]:
        return (self.values[int(np.argmax(x_X))],)

    def features(self, x_SX: Array) -> Array:
        """One-hot, scaled so that two different values are 1 apart."""
        return np.asarray(np.eye(len(self.values))[np.argmax(x_SX, axis=1)] / math.sqrt(2))

    def features_of(self, values: Sequence[Any]) -> list[float]:
        return [float(value == values[0]) / math.sqrt(2) for value in self.values]

    def is_among(self, x_SX: Array, values: Sequence[Any]) -> NDArray[np.bool_]:
        """True where a point takes one of ``values``: (S,)."""
        return np.isin(np.argmax(x_SX, axis=1), [i for i, value in enumerate(self.values) if value in values])

    def extremes(self) -> list[tuple[Any, ...]]:
        return [(value,) for value in self.values]

    def problems(self, path: str) -> list[Problem]:
        wrong = [value for value in self.values if not isinstance(value, str | int | float)]
        if wrong:
            return [Problem(f"{path}.values", repr(wrong[0])[:80], "texts, numbers or truth values")]
        if len({json.dumps(value) for value in self.values}) < max(2, len(self.values)):
            return [Problem(f"{path}.values", repr(self.values)[:80], "at least two values, each of them once")]
        return []


@dataclass(frozen=True)
class Simplex:
    """A total divided among several fields; its name is free."""

    fields: tuple[str, ...] = param(max_length=20, doc="the fields that share the total, at least two")
    total: float = param(1.0, gt=0, doc="sum of the fields' values")

    def block(self, name: str) -> Block:
        return Dirichlet(name, len(self.fields))

    def sets(self, name: str) -> tuple[str, ...]:  # noqa: ARG002  its name is not a field
        return self.fields

    def at(self, x_X: Array) -> tuple[Any, ...]:
        return tuple((self.total * x_X / x_X.sum()).tolist())

    def features(self, x_SX: Array) -> Array:
        return np.asarray(x_SX / x_SX.sum(axis=1, keepdims=True))

    def features_of(self, values: Sequence[Any]) -> list[float]:
        return [value / self.total for value in values]

    def extremes(self) -> list[tuple[Any, ...]]:
        n = len(self.fields)
        return [tuple(self.total if i == j else 0.0 for j in range(n)) for i in range(n)]

    def problems(self, path: str) -> list[Problem]:
        if len(set(self.fields)) < max(2, len(self.fields)):
            return [Problem(f"{path}.fields", repr(self.fields)[:80], "at least two fields, each of them once")]
        return []


KINDS: dict[str, type[Any]] = {"linear": Linear, "log": Log, "integer": Integer, "choice": Choice, "simplex": Simplex}


def parse_parameters(data: Mapping[str, Any], path: str = "search.parameters") -> dict[str, Parameter]:
    """Name -> parameter, in the order of the names. Raises SpecError with everything that is wrong or contradictory."""
    parameters: dict[str, Parameter] = {}
    problems: list[Problem] = []
    if len(data) > MOST_PARAMETERS:
        raise SpecError(Problem(path, len(data), f"at most {MOST_PARAMETERS} parameters"))
    for name in sorted(data):
        at = f"{path}.{name}"[:200]
        try:
            parameter = _parse_one(data[name], at)
        except SpecError as error:
            problems += error.problems
            continue
        taken = {field for other in parameters for field in parameters[other].sets(other)}
        wrong = parameter.problems(at) + _field_problems(parameter.sets(name), taken, at)
        problems += wrong
        if not wrong:
            parameters[name] = parameter
    if problems:
        raise SpecError(*problems)
    return parameters


def _parse_one(data: Any, at: str) -> Parameter:
    if not isinstance(data, Mapping):
        raise SpecError(Problem(at, repr(data)[:80], "an object with a kind: " + ", ".join(KINDS)))
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise SpecError(Problem(f"{at}.kind", None if kind is None else repr(kind)[:80], "one of " + ", ".join(KINDS)))
    parameter: Parameter = parse(KINDS[kind], {key: value for key, value in data.items() if key != "kind"}, at)
    return parameter


def _field_problems(fields: Sequence[str], taken: set[str], at: str) -> list[Problem]:
    problems = []
    for field in fields:
        if not field.startswith(PREFIX) or field.removeprefix(PREFIX) in FIXED_FIELDS:
            allowed = (
                f"a field of train such as train.learning_rate or train.params.NAME; not {', '.join(FIXED_FIELDS)}"
            )
            problems.append(Problem(at, field[:80], allowed))
        elif field in taken:
            problems.append(Problem(at, field[:80], "a field that no other parameter sets"))
    return problems


def as_overrides(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by field (``train.params.gamma``) as overrides of TrainSpec, ``params`` nested."""
    overrides: dict[str, Any] = {}
    for field, value in values.items():
        name = field.removeprefix(PREFIX)
        if name.startswith("params."):
            overrides.setdefault("params", {})[name.removeprefix("params.")] = value
        else:
            overrides[name] = value
    return overrides


def searched_conditions(
    parameters: Mapping[str, Parameter], of_settings: Mapping[str, Condition]
) -> dict[str, Condition]:
    """The conditions that a search moves, by the name of a parameter: ``of_settings`` are the method's, by setting."""
    of_fields = {
        f"{PREFIX}params.{name}": Condition(f"{PREFIX}params.{on}", v) for name, (on, v) in of_settings.items()
    }
    return {name: of_fields[name] for name in parameters if name in of_fields and of_fields[name].other in parameters}


def features_of(
    parameters: Mapping[str, Parameter], train: Mapping[str, Any], conditions: Mapping[str, Condition] | None = None
) -> list[float]:
    """Features of the training settings of one trial, TrainSpec as JSON: all parameters' in their order."""

    def value_of(field: str) -> Any:
        key = field.removeprefix(PREFIX)
        return train["params"][key.removeprefix("params.")] if key.startswith("params.") else train[key]

    features: list[float] = []
    for name, parameter in parameters.items():
        condition = (conditions or {}).get(name)
        if condition is None or value_of(condition.other) in condition.values:
            features += parameter.features_of([value_of(field) for field in parameter.sets(name)])
        else:
            features += [0.0] * parameter.block(name).n_x
    return features
