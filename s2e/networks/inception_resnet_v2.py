"""Inception-ResNet-v2 as a stack whose networks run one after another, as classifiers of torchvision do."""

from __future__ import annotations

from torch import nn

from s2e.data.inception_resnet_v2 import InceptionResNetV2
from s2e.networks import declared
from s2e.networks.base import StackedNetwork
from s2e.networks.torchvision_classifier import StackedTorchvision


class StackedInceptionResNetV2(StackedTorchvision):
    """55,843,464 parameters for C = 1,000. Weights may come from a file; grey images fill all three channels."""

    params: declared.InceptionResNetV2  # type: ignore[assignment]  # weights alone are asked of both
    n_blocks = (10, 20, 9)
    thin = 1
    """Divides the channels."""

    @property
    def name(self) -> str:
        return "inception_resnet_v2"

    def make_module(self) -> nn.Module:
        return InceptionResNetV2(self.n_classes, self.n_blocks, self.thin)

    def _meta_module(self) -> nn.Module:
        return StackedNetwork._meta_module(self)
