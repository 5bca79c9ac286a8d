"""A network as one plain module; the layers it is made of know how they are stacked."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from s2e.networks.sequential import StackedSequential
from s2e_example import parts


class StackedSmallCnn(StackedSequential):
    """3x3 convolution, batch norm, ReLU, pooled by 2, dense."""

    params: parts.SmallCnn

    def make_module(self) -> nn.Module:
        depth, height, width = self.input_shape
        filters = self.params.filters
        layers = [
            ("conv", nn.Conv2d(depth, filters, 3, padding=1)),
            ("norm", nn.BatchNorm2d(filters)),
            ("relu", nn.ReLU()),
            ("pool", nn.MaxPool2d(2)),
            ("flatten", nn.Flatten()),
            ("output", nn.Linear(filters * (height // 2) * (width // 2), self.n_classes)),
        ]
        return nn.Sequential(OrderedDict(layers))
