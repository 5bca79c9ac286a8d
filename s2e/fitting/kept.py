"""Models of trainings under way: kept in memory by this process, or in the files that other processes wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from s2e.artifacts import read_model
from s2e.files import resolve
from s2e.fitting.model import State
from s2e.labels.free import TrialMargins
from s2e.labels.kept import load_margins
from s2e.train import keep
from s2e.train.trial import PopulationEnd
from s2e.words import Population, TrialResult, to_json


class Models(Protocol):
    """The networks behind results."""

    def states(self, result: TrialResult) -> list[State]:
        """Of each network of a succeeded training its arrays, by the names of the plain module."""

    def described(self, result: TrialResult) -> Mapping[str, Any]:
        """Network, training and shape, as they stand beside the file of a model."""

    def margins(self, result: TrialResult) -> TrialMargins | None:
        """The margins of the labels it learned."""


class InMemory(keep.InMemory):
    """Keeps models too."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[tuple[int, int], tuple[list[State], Mapping[str, Any], TrialMargins | None]] = {}

    def keep_models(self, population: Population, end: PopulationEnd) -> tuple[TrialResult, ...]:
        described = {"shape": to_json(end.network), "train": to_json(population.train)}
        for i, (result, model) in enumerate(zip(end.results, end.models, strict=True)):
            if model is not None:
                margins = end.margins[i] if end.margins else None
                self._kept[result.round, result.k] = _networks(model), described, margins
        return end.results

    def states(self, result: TrialResult) -> list[State]:
        return self._kept[result.round, result.k][0]

    def described(self, result: TrialResult) -> Mapping[str, Any]:
        return self._kept[result.round, result.k][1]

    def margins(self, result: TrialResult) -> TrialMargins | None:
        known = self._kept.get((result.round, result.k))
        return None if known is None else known[2]


class AsFiles:
    """Reads them below the folder of a job."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def states(self, result: TrialResult) -> list[State]:
        assert result.model is not None
        return _networks(read_model(resolve(self._folder, result.model))[0])

    def described(self, result: TrialResult) -> Mapping[str, Any]:
        assert result.model is not None
        described = read_model(resolve(self._folder, result.model))[1]
        return {name: described[name] for name in ("shape", "train")}

    def margins(self, result: TrialResult) -> TrialMargins | None:
        return None if result.model is None else load_margins(self._folder, result.model)


def _networks(tensors: Mapping[str, Any]) -> list[State]:
    states: dict[str, State] = {}
    for name, tensor in tensors.items():
        network, _, rest = name.partition(".")
        states.setdefault(network, {})[rest] = tensor.numpy()
    return [state for _, state in sorted(states.items())]
