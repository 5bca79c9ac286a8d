"""Models 1 and 2 of S2E Table 4 and the 9-layer CNN, stacked and channels-last. Legend in :mod:`s2e.networks.base`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from s2e.networks import declared
from s2e.networks.dropout import KeyedDropout
from s2e.networks.sequential import Layers, StackedSequential


class StackedModel1(StackedSequential):
    """LeNet-like: 5x5 convolutions of 6 and 16 filters, each pooled by 2, then 120-84-C (62,006 parameters, C = 10)."""

    def make_module(self) -> nn.Module:
        depth, height, width = self.input_shape
        features = 16 * _valid_then_pooled(height) * _valid_then_pooled(width)
        # relu(max) is max(relu), value and gradient alike, on a quarter of the elements: so pool first
        layers: Layers = [
            ("conv1", nn.Conv2d(depth, 6, 5)),
            ("pool1", nn.MaxPool2d(2)),
            ("relu1", nn.ReLU()),
            ("conv2", nn.Conv2d(6, 16, 5)),
            ("pool2", nn.MaxPool2d(2)),
            ("relu2", nn.ReLU()),
            ("flatten", nn.Flatten()),
            ("dense1", nn.Linear(features, 120)),
            ("relu3", nn.ReLU()),
            ("dense2", nn.Linear(120, 84)),
            ("relu4", nn.ReLU()),
            ("output", nn.Linear(84, self.n_classes)),
        ]
        return nn.Sequential(OrderedDict(layers))


class StackedModel2(StackedSequential):
    """Six 3x3 convolutions with batch norm, pooled by 2 after every second (518,150 parameters for 32x32x3, C = 10)."""

    filters: Sequence[int] = (64, 64, 128, 128, 196, 16)
    """S2E Table 4 prints 196 for the last one too, but its 256-input dense layer (and the official code) needs 16."""

    def make_module(self) -> nn.Module:
        depth, height, width = self.input_shape
        layers: Layers = []
        for i, filters in enumerate(self.filters, start=1):
            layers += _conv_norm(i, depth, filters, nn.ReLU(), padding=1)
            if i % 2 == 0:
                layers.append((f"pool{i}", nn.MaxPool2d(2)))
            depth = filters
        layers += [
            ("flatten", nn.Flatten()),
            ("output", nn.Linear(depth * (height // 8) * (width // 8), self.n_classes)),
        ]
        return nn.Sequential(OrderedDict(layers))


class StackedCnn9(StackedSequential):
    """Nine 3x3 convolutions with batch norm and leaky ReLU: two blocks of three, each pooled by 2, then three without
    padding and a global mean (Co-teaching, S2E's Model 3; 4,434,570 parameters for 3 channels, C = 10)."""

    params: declared.Cnn9
    filters: Sequence[int] = (128, 128, 128, 256, 256, 256, 512, 256, 128)

    def make_module(self) -> nn.Module:
        depth = self.input_shape[0]
        layers: Layers = []
        for i, filters in enumerate(self.filters, start=1):
            layers += _conv_norm(i, depth, filters, nn.LeakyReLU(0.01), padding=1 if i <= 6 else 0)
            if i in (3, 6):
                layers.append((f"pool{i}", nn.MaxPool2d(2)))
                if self.params.dropout == "train_only":
                    layers.append((f"drop{i}", KeyedDropout(0.25, axes=2)))
            depth = filters
        layers += [
            ("mean", nn.AdaptiveAvgPool2d(1)),
            ("flatten", nn.Flatten()),
            ("output", nn.Linear(depth, self.n_classes)),
        ]
        return nn.Sequential(OrderedDict(layers))


def _conv_norm(i: int, depth: int, filters: int, activation: nn.Module, padding: int) -> Layers:
    return [
        (f"conv{i}", nn.Conv2d(depth, filters, 3, padding=padding)),
        (f"norm{i}", nn.BatchNorm2d(filters)),
        (f"relu{i}", activation),
    ]


def _valid_then_pooled(size: int) -> int:
    """Pixels left of ``size`` after two rounds of a 5x5 convolution without padding and a pooling by 2."""
    return ((size - 4) // 2 - 4) // 2
