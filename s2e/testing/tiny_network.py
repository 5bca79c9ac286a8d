"""The network of :mod:`s2e.testing.tiny`: every kind of layer that stacks in a way of its own, and few weights."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from s2e.networks.sequential import StackedSequential


class StackedTinyNorm(StackedSequential):
    """A convolution, batch norm, and a dense layer."""

    def make_module(self) -> nn.Module:
        depth, height, width = self.input_shape
        layers = [
            ("conv", nn.Conv2d(depth, 6, 3, padding=1)),
            ("norm", nn.BatchNorm2d(6)),
            ("relu", nn.ReLU()),
            ("pool", nn.MaxPool2d(2)),
            ("flatten", nn.Flatten()),
            ("output", nn.Linear(6 * (height // 2) * (width // 2), self.n_classes)),
        ]
        return nn.Sequential(OrderedDict(layers))
