"""The networks of dense layers, stacked. Legend in :mod:`s2e.networks.base`."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from s2e.networks import declared
from s2e.networks.sequential import Layers, StackedDense


class StackedMLP(StackedDense):
    """S2E Table 4: one hidden layer of 256 ReLU units; 203,530 parameters for 28x28 images and 10 classes."""

    hidden = 256

    def make_module(self) -> nn.Module:
        layers: Layers = [
            ("flatten", nn.Flatten()),
            ("hidden", nn.Linear(math.prod(self.input_shape), self.hidden)),
            ("relu", nn.ReLU()),
            ("output", nn.Linear(self.hidden, self.n_classes)),
        ]
        return nn.Sequential(OrderedDict(layers))


class StackedTabularMLP(StackedDense):
    """ReLU layers of the asked sizes, for rows of a table and word counts: samples of any shape, flattened."""

    params: declared.TabularMLP

    def make_module(self) -> nn.Module:
        return _dense(math.prod(self.input_shape), self.params.hidden, self.n_classes, batch_norm=False)


class StackedSiguaWide(StackedDense):
    """SIGUA Fig. 1's wide network: 10,000 and 100 hidden units, each layer with batch norm (8,871,310 for MNIST)."""

    hidden: Sequence[int] = (10_000, 100)

    def make_module(self) -> nn.Module:
        return _dense(math.prod(self.input_shape), self.hidden, self.n_classes, batch_norm=True)


class StackedSiguaDeep(StackedSiguaWide):
    """SIGUA Fig. 1's deep network: five times 500 hidden units, each layer with batch norm (1,404,510 for MNIST)."""

    hidden: Sequence[int] = (500, 500, 500, 500, 500)


def _dense(n_inputs: int, hidden: Sequence[int], n_classes: int, *, batch_norm: bool) -> nn.Module:
    """Dense layers with ReLU, batch norm before it if asked, and an output layer."""
    layers: Layers = [("flatten", nn.Flatten())]
    for i, units in enumerate(hidden, start=1):
        layers.append((f"hidden{i}", nn.Linear(n_inputs, units)))
        if batch_norm:
            layers.append((f"norm{i}", nn.BatchNorm1d(units)))
        layers.append((f"relu{i}", nn.ReLU()))
        n_inputs = units
    layers.append(("output", nn.Linear(n_inputs, n_classes)))
    return nn.Sequential(OrderedDict(layers))
