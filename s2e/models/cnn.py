"""The convolutional networks of S2E Table 4, stacked and channels-last. Legend in :mod:`s2e.models.base`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from s2e.models.base import StackedNetwork
from s2e.models.layers import batch_norm, conv, flatten_features, image_batch, linear


class StackedModel1(StackedNetwork):
    """LeNet-like: 5x5 convolutions of 6 and 16 filters, each pooled by 2, then 120-84-C (62,006 parameters, C = 10)."""

    def make_module(self) -> nn.Module:
        depth, height, width = self.input_shape
        features = 16 * _valid_then_pooled(height) * _valid_then_pooled(width)
        layers: list[tuple[str, nn.Module]] = [
            ("conv1", nn.Conv2d(depth, 6, 5)),
            ("relu1", nn.ReLU()),
            ("pool1", nn.MaxPool2d(2)),
            ("conv2", nn.Conv2d(6, 16, 5)),
            ("relu2", nn.ReLU()),
            ("pool2", nn.MaxPool2d(2)),
            ("flatten", nn.Flatten()),
            ("dense1", nn.Linear(features, 120)),
            ("relu3", nn.ReLU()),
            ("dense2", nn.Linear(120, 84)),
            ("relu4", nn.ReLU()),
            ("output", nn.Linear(84, self.n_classes)),
        ]
        return nn.Sequential(OrderedDict(layers))

    @staticmethod
    def store(image_SDHW: torch.Tensor) -> torch.Tensor:
        return image_SDHW.permute(0, 2, 3, 1).contiguous()

    def forward(self, tensors: Mapping[str, torch.Tensor], x: torch.Tensor, *, train: bool) -> torch.Tensor:  # noqa: ARG002
        n_stacked = tensors["conv1.weight"].shape[0]
        x_BCHW, groups = image_batch(x)
        # relu(max) is max(relu), value and gradient alike, on a quarter of the elements
        x_BCHW = F.relu(F.max_pool2d(conv(tensors, "conv1", x_BCHW, groups), 2))
        x_BCHW = F.relu(F.max_pool2d(conv(tensors, "conv2", x_BCHW, n_stacked), 2))
        x_GIB = flatten_features(x_BCHW, n_stacked)
        x_GIB = F.relu(linear(tensors, "dense1", x_GIB))
        x_GIB = F.relu(linear(tensors, "dense2", x_GIB))
        return linear(tensors, "output", x_GIB).mT


_MODEL2_FILTERS = (64, 64, 128, 128, 196, 16)
"""S2E Table 4 prints 196 for the last one too, but its 256-input dense layer (and the official code) needs 16."""


class StackedModel2(StackedNetwork):
    """Six 3x3 convolutions with batch norm, pooled by 2 after every second (518,150 parameters for 32x32x3, C = 10)."""

    def make_module(self) -> nn.Module:
        depth, height, width = self.input_shape
        layers: list[tuple[str, nn.Module]] = []
        for i, filters in enumerate(_MODEL2_FILTERS, start=1):
            layers += [
                (f"conv{i}", nn.Conv2d(depth, filters, 3, padding=1)),
                (f"norm{i}", nn.BatchNorm2d(filters)),
                (f"relu{i}", nn.ReLU()),
            ]
            if i % 2 == 0:
                layers.append((f"pool{i}", nn.MaxPool2d(2)))
            depth = filters
        layers += [
            ("flatten", nn.Flatten()),
            ("output", nn.Linear(depth * (height // 8) * (width // 8), self.n_classes)),
        ]
        return nn.Sequential(OrderedDict(layers))

    @staticmethod
    def store(image_SDHW: torch.Tensor) -> torch.Tensor:
        return image_SDHW.permute(0, 2, 3, 1).contiguous()

    def forward(self, tensors: Mapping[str, torch.Tensor], x: torch.Tensor, *, train: bool) -> torch.Tensor:
        n_stacked = tensors["conv1.weight"].shape[0]
        x_BCHW, groups = image_batch(x)
        for i in range(1, len(_MODEL2_FILTERS) + 1):
            x_BCHW = conv(tensors, f"conv{i}", x_BCHW, groups, padding=1)
            x_BCHW = F.relu(batch_norm(tensors, f"norm{i}", x_BCHW, train))
            if i % 2 == 0:
                x_BCHW = F.max_pool2d(x_BCHW, 2)
            groups = n_stacked
        return linear(tensors, "output", flatten_features(x_BCHW, n_stacked)).mT


def _valid_then_pooled(size: int) -> int:
    """Pixels left of ``size`` after two rounds of a 5x5 convolution without padding and a pooling by 2."""
    return ((size - 4) // 2 - 4) // 2
