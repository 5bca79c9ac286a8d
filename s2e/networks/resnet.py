"""Residual networks with a stem for small images, stacked and channels-last. Legend in :mod:`s2e.networks.base`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from s2e.networks.sequential import Layers, Pass, Signal, StackedSequential, join, stacked


class Residual(nn.Module):
    """after(body(z) + shortcut(z)), z = before(x); an empty sequence is the identity."""

    def __init__(self, before: Layers, body: Layers, shortcut: Layers, after: Layers) -> None:
        super().__init__()
        self.before = nn.Sequential(OrderedDict(before))
        self.body = nn.Sequential(OrderedDict(body))
        self.shortcut = nn.Sequential(OrderedDict(shortcut))
        self.after = nn.Sequential(OrderedDict(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.before(x)
        return self.after(self.body(z) + self.shortcut(z))  # type: ignore[no-any-return]


@stacked.register(Residual)
def _residual(layer: Residual, name: str, signal: Signal, run: Pass) -> Signal:
    before = stacked(layer.before, join(name, "before"), signal, run)
    body = stacked(layer.body, join(name, "body"), before, run)
    shortcut = stacked(layer.shortcut, join(name, "shortcut"), before, run)
    return stacked(layer.after, join(name, "after"), replace(body, x=body.x + shortcut.x), run)


class StackedResNet34(StackedSequential):
    """ResNet-34 (He et al. 2016) with a 3x3 stem of stride 1 and no first pooling, as ELR and GCE train it on CIFAR
    (21,282,122 parameters for 3 channels, C = 10)."""

    is_wide = True
    width = 64
    """Channels of the stem; each later stage doubles them and halves the image."""
    n_blocks: Sequence[int] = (3, 4, 6, 3)

    def make_module(self) -> nn.Module:
        layers: Layers = [("stem", _conv3x3(self.input_shape[0], self.width)), *_norm_relu("stem", self.width)]
        depth = self.width
        for stage, n_blocks in enumerate(self.n_blocks):
            channels = self.width * 2**stage
            for block in range(n_blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append((f"stage{stage + 1}_block{block + 1}", self._block(depth, channels, stride)))
                depth = channels
        layers += [
            ("mean", nn.AdaptiveAvgPool2d(1)),
            ("flatten", nn.Flatten()),
            ("output", nn.Linear(depth, self.n_classes)),
        ]
        return nn.Sequential(OrderedDict(layers))

    def _block(self, depth: int, channels: int, stride: int) -> nn.Module:
        body: Layers = [
            ("conv1", _conv3x3(depth, channels, stride)),
            *_norm_relu("1", channels),
            ("conv2", _conv3x3(channels, channels)),
            ("norm_2", nn.BatchNorm2d(channels)),
        ]
        shortcut = _projection(depth, channels, stride)
        if shortcut:
            shortcut.append(("norm", nn.BatchNorm2d(channels)))
        return Residual([], body, shortcut, [("relu", nn.ReLU())])


class StackedPreActResNet18(StackedResNet34):
    """Pre-activation ResNet-18 as ELR+ and DivideMix train it: batch norm and ReLU after the stem, none after the last
    block, and every shortcut starts behind the block's activation (11,171,274 parameters for 3 channels, C = 10)."""

    n_blocks: Sequence[int] = (2, 2, 2, 2)

    def _block(self, depth: int, channels: int, stride: int) -> nn.Module:
        body: Layers = [
            ("conv1", _conv3x3(depth, channels, stride)),
            *_norm_relu("2", channels),
            ("conv2", _conv3x3(channels, channels)),
        ]
        return Residual(_norm_relu("1", depth), body, _projection(depth, channels, stride), [])


def _conv3x3(depth: int, channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(depth, channels, 3, stride, padding=1, bias=False)


def _norm_relu(name: str, channels: int) -> Layers:
    return [(f"norm_{name}", nn.BatchNorm2d(channels)), (f"relu_{name}", nn.ReLU())]


def _projection(depth: int, channels: int, stride: int) -> Layers:
    """A 1x1 convolution where the block changes the shape, else nothing."""
    if stride == 1 and depth == channels:
        return []
    return [("conv", nn.Conv2d(depth, channels, 1, stride, bias=False))]
