"""Declarations of the networks. No torch."""

from __future__ import annotations

from s2e.parts import NetworkPart, network, param


@network("mlp", module="s2e.networks.mlp:StackedMLP", dense=True)
class MLP(NetworkPart):
    """One hidden layer of 256 ReLU units (S2E Table 4)."""


@network("mlp_tabular", module="s2e.networks.mlp:StackedTabularMLP", dense=True)
class TabularMLP(NetworkPart):
    """Plain multilayer perceptron for tables and word counts; hidden sizes by network_params, 2 x 256."""

    hidden: tuple[int, ...] = param(
        (256, 256), max_length=16, ge=1, le=65_536, doc="units of each hidden layer, first to last"
    )


@network("model1", module="s2e.networks.cnn:StackedModel1", min_size=16)
class Model1(NetworkPart):
    """LeNet-like CNN with two 5x5 convolutions (S2E Table 4, Model 1)."""


@network("model2", module="s2e.networks.cnn:StackedModel2", min_size=8)
class Model2(NetworkPart):
    """CNN with six 3x3 convolutions and batch norm (S2E Table 4, Model 2)."""


@network("cnn9", module="s2e.networks.cnn:StackedCnn9", min_size=28)
class Cnn9(NetworkPart):
    """9-layer CNN with batch norm and channel dropout (Co-teaching; S2E's Model 3).

    Its official program calls dropout without saying whether it trains, so the installed torch decided: never in the
    version Co-teaching's figures were made with, in evaluation too with a newer one.
    """

    dropout: str = param(
        "train_only",
        choices=("off", "train_only"),
        doc="channel dropout of 0.25 after each pooling; off: as Co-teaching's published figures were made",
    )


@network("sigua_wide", module="s2e.networks.mlp:StackedSiguaWide")
class SiguaWide(NetworkPart):
    """784-10000-100-10 with batch norm (SIGUA Fig. 1), for images of any size."""


@network("sigua_deep", module="s2e.networks.mlp:StackedSiguaDeep")
class SiguaDeep(NetworkPart):
    """784-500x5-10 with batch norm (SIGUA Fig. 1), for images of any size."""


@network("resnet34", module="s2e.networks.resnet:StackedResNet34", min_size=8)
class ResNet34(NetworkPart):
    """ResNet-34 with a stem for small images (ELR, GCE)."""


@network("preact_resnet18", module="s2e.networks.resnet:StackedPreActResNet18", min_size=8)
class PreActResNet18(NetworkPart):
    """Pre-activation ResNet-18 with a stem for small images (ELR+, DivideMix)."""


@network("inception_resnet_v2", module="s2e.networks.inception_resnet_v2:StackedInceptionResNetV2", min_size=75)
class InceptionResNetV2(NetworkPart):
    """Inception-ResNet-v2, as papers train WebVision; its networks run one after another."""

    weights: str = param(
        "none",
        max_length=500,
        doc="none, or a file below the data root: a state dict (.pth or .safetensors) as Cadène's or timm's programs "
        "have it. The last layer is left out where it has another number of classes. Nothing is ever downloaded",
    )


@network("torchvision", module="s2e.networks.torchvision_classifier:StackedTorchvision", min_size=32, variants=True)
class Torchvision(NetworkPart):
    """Any torchvision classifier by name, such as torchvision:resnet50; its networks run one after another."""

    weights: str = param(
        "none",
        max_length=500,
        doc="none, or a file below the data root: a state dict (.pth or .safetensors) of this classifier. Its last "
        "layer is left out where it has another number of classes. Nothing is ever downloaded",
    )
