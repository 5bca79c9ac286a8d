"""The multilayer perceptron of S2E Table 4, stacked. Legend in :mod:`s2e.models.base`."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from s2e.models.base import StackedNetwork
from s2e.models.layers import first_linear, linear

HIDDEN = 256


class StackedMLP(StackedNetwork):
    """One hidden layer of 256 ReLU units; 203,530 parameters for 28x28 images and 10 classes."""

    def make_module(self) -> nn.Module:
        layers: list[tuple[str, nn.Module]] = [
            ("flatten", nn.Flatten()),
            ("hidden", nn.Linear(math.prod(self.input_shape), HIDDEN)),
            ("relu", nn.ReLU()),
            ("output", nn.Linear(HIDDEN, self.n_classes)),
        ]
        return nn.Sequential(OrderedDict(layers))

    @staticmethod
    def store(image_SDHW: torch.Tensor) -> torch.Tensor:
        return image_SDHW.flatten(1).contiguous()

    def forward(self, tensors: Mapping[str, torch.Tensor], x: torch.Tensor, *, train: bool) -> torch.Tensor:  # noqa: ARG002
        return linear(tensors, "output", F.relu(first_linear(tensors, "hidden", x))).mT
