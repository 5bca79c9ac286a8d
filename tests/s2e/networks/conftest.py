"""Every network, thin where its published width would make float64 slow: the code is the same at any width."""

from __future__ import annotations

import pytest

from s2e.networks.base import StackedNetwork
from s2e.networks.cnn import StackedCnn9, StackedModel1, StackedModel2
from s2e.networks.declared import TabularMLP
from s2e.networks.mlp import StackedMLP, StackedSiguaDeep, StackedSiguaWide, StackedTabularMLP
from s2e.networks.resnet import StackedPreActResNet18, StackedResNet34
from s2e.networks.torchvision_classifier import StackedTorchvision

N_CLASSES = 5


class ThinWide(StackedSiguaWide):
    hidden = (40, 10)


class ThinDeep(StackedSiguaDeep):
    hidden = (16,) * 5


class ThinCnn9(StackedCnn9):
    filters = (4, 4, 4, 6, 6, 6, 8, 6, 4)


class ThinResNet34(StackedResNet34):
    width = 4


class ThinPreActResNet18(StackedPreActResNet18):
    width = 4


MAKE = {
    "mlp": lambda: StackedMLP((3, 16, 16), N_CLASSES),
    "mlp_tabular": lambda: StackedTabularMLP((1, 1, 30), N_CLASSES, TabularMLP(hidden=(12, 7))),
    "model1": lambda: StackedModel1((3, 16, 16), N_CLASSES),
    "model2": lambda: StackedModel2((3, 8, 8), N_CLASSES),
    "cnn9": lambda: ThinCnn9((3, 28, 28), N_CLASSES),
    "sigua_wide": lambda: ThinWide((1, 8, 8), N_CLASSES),
    "sigua_deep": lambda: ThinDeep((1, 8, 8), N_CLASSES),
    "resnet34": lambda: ThinResNet34((3, 8, 8), N_CLASSES),
    "preact_resnet18": lambda: ThinPreActResNet18((3, 8, 8), N_CLASSES),
    "torchvision": lambda: StackedTorchvision((3, 32, 32), N_CLASSES, variant="shufflenet_v2_x0_5"),
    "torchvision_dropout": lambda: StackedTorchvision((1, 32, 32), N_CLASSES, variant="squeezenet1_1"),
}


@pytest.fixture(params=MAKE)
def network(request: pytest.FixtureRequest) -> StackedNetwork:
    return MAKE[request.param]()
