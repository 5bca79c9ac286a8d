"""Settings of the networks: typed, documented, with the papers' defaults. Imports no torch, so the API can check.

A network's class of settings is named on its line of :data:`s2e.catalog.NETWORKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s2e import catalog
from s2e.words import Problem, SpecError, param, parse


@dataclass(frozen=True)
class Params:
    """The settings of a network that has none."""


def parse_network_params(network: str, data: Any, path: str = "train.network_params") -> Params:
    """The settings of ``network``, complete. Raises SpecError with every unknown name and value out of its range."""
    kind: type[Params] = catalog.network_params_of(network)
    if not isinstance(data, Mapping):
        raise SpecError(Problem(path, repr(data)[:80], "must be an object"))
    return parse(kind, data, path)


@dataclass(frozen=True)
class Cnn9(Params):
    """The 9-layer CNN. Its official program calls dropout without saying whether it trains, so the installed torch
    decided: never in the version Co-teaching's figures were made with, in evaluation too with a newer one."""

    dropout: str = param(
        "train_only",
        choices=("off", "train_only"),
        doc="channel dropout of 0.25 after each pooling; off: as Co-teaching's published figures were made",
    )


@dataclass(frozen=True)
class TabularMLP(Params):
    """The plain multilayer perceptron."""

    hidden: tuple[int, ...] = param(
        (256, 256), max_length=16, ge=1, le=65_536, doc="units of each hidden layer, first to last"
    )


@dataclass(frozen=True)
class Torchvision(Params):
    """A classifier of torchvision."""

    weights: str = param(
        "none",
        max_length=500,
        doc="none, or a file below the data root: a state dict (.pth or .safetensors) of this classifier. Its last "
        "layer is left out where it has another number of classes. Nothing is ever downloaded",
    )
