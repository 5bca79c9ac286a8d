"""A network is written once, as a plain ``nn.Sequential``; its stacked form is read off layer by layer.

Each kind of layer has one rule below that does for G networks at once what the layer does for one. So the plain module
a user takes away and the program that trained it cannot drift apart. Legend in :mod:`s2e.networks.base`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import ClassVar

import torch
from torch import nn

from s2e.networks import pool
from s2e.networks.base import StackedNetwork
from s2e.networks.dropout import KeyedDropout, drop
from s2e.networks.layers import batch_norm, conv, first_linear, flatten_features, image_batch, linear

Layers = list[tuple[str, nn.Module]]
"""Named layers in the order they run, what ``nn.Sequential(OrderedDict(layers))`` takes."""


@dataclass(frozen=True)
class Signal:
    """The activations between two layers, in one of three layouts.

    ``groups`` > 0: images [B, groups * c, H, W], side by side for all (1), for each trial (K) or each network (G);
    ``shared``: flat samples that networks share, [B, I] or [K, B, I]; neither: features of each network, [G, I, B].
    """

    x: torch.Tensor
    groups: int = 0
    shared: bool = False


@dataclass(frozen=True)
class Pass:
    """One forward pass: the stacked tensors, G, and whether batch norm and dropout train."""

    tensors: Mapping[str, torch.Tensor]
    n_stacked: int
    train: bool
    compiled: bool = False
    """True if compiled passes may stand for torch's operations; they give the same bits."""


class StackedSequential(StackedNetwork):
    """A network whose plain form is made of the layers that have a rule here."""

    is_wide: ClassVar[bool] = False
    """True if on a CPU its networks run one after another: a grouped convolution of many channels takes longer than its
    parts."""

    def forward(self, tensors: Mapping[str, torch.Tensor], x: torch.Tensor, *, train: bool) -> torch.Tensor:
        n_stacked = next(iter(tensors.values())).shape[0]
        if self.is_wide and n_stacked > 1 and x.device.type == "cpu":
            return self._one_by_one(tensors, x, n_stacked, train=train)
        return stacked(self.template, "", self._enter(x), Pass(tensors, n_stacked, train, self.compiled)).x.mT

    def _one_by_one(
        self, tensors: Mapping[str, torch.Tensor], x: torch.Tensor, n_stacked: int, *, train: bool
    ) -> torch.Tensor:
        parts = {name: tensor.split(1) for name, tensor in tensors.items()}
        batches = [x] if x.dim() == 4 else list(x.unbind(0))
        n_networks = n_stacked // len(batches)
        return torch.cat(
            [
                self.forward({name: part[g] for name, part in parts.items()}, batches[g // n_networks], train=train)
                for g in range(n_stacked)
            ]
        )

    def _enter(self, x: torch.Tensor) -> Signal:
        x_BCHW, groups = image_batch(x)
        return Signal(x_BCHW, groups)

    @staticmethod
    def arrange(image_SDHW: torch.Tensor) -> torch.Tensor:
        return image_SDHW.permute(0, 2, 3, 1).contiguous()


class StackedDense(StackedSequential):
    """A network of dense layers: samples of any shape, flattened."""

    def _enter(self, x: torch.Tensor) -> Signal:
        return Signal(x, shared=True)

    @staticmethod
    def arrange(image_SDHW: torch.Tensor) -> torch.Tensor:
        return image_SDHW.flatten(1).contiguous()


@singledispatch
def stacked(layer: nn.Module, name: str, signal: Signal, run: Pass) -> Signal:
    """Run ``layer``, whose tensors begin with ``name``, on ``signal`` in all G networks."""
    raise NotImplementedError(f"{type(layer).__name__} has no stacked form")


@stacked.register(nn.Sequential)
def _sequential(layer: nn.Sequential, name: str, signal: Signal, run: Pass) -> Signal:
    children = list(layer.named_children())
    while children:
        child_name, child = children.pop(0)
        if run.compiled and _halves(child) and pool.reads(signal.x):
            relu = bool(children) and type(children[0][1]) is nn.ReLU
            signal = replace(signal, x=pool.pool_2x2(signal.x, relu=relu))
            children = children[1:] if relu else children
        else:
            signal = stacked(child, join(name, child_name), signal, run)
    return signal


def _halves(layer: nn.Module) -> bool:
    """True if a layer is the max-pooling by 2 that has a compiled pass."""
    if type(layer) is not nn.MaxPool2d:
        return False
    size, step = (2, (2, 2)), (None, 2, (2, 2))
    plain = (layer.padding, layer.dilation, layer.ceil_mode, layer.return_indices) == (0, 1, False, False)
    return layer.kernel_size in size and layer.stride in step and plain


@stacked.register(nn.ReLU)
@stacked.register(nn.LeakyReLU)
@stacked.register(nn.MaxPool2d)
@stacked.register(nn.AdaptiveAvgPool2d)
def _each_channel_alone(layer: nn.Module, name: str, signal: Signal, run: Pass) -> Signal:  # noqa: ARG001
    return replace(signal, x=layer(signal.x))


@stacked.register(nn.Conv2d)
def _conv(layer: nn.Conv2d, name: str, signal: Signal, run: Pass) -> Signal:
    return Signal(conv(run.tensors, name, signal.x, signal.groups, layer), groups=run.n_stacked)


@stacked.register(nn.Linear)
def _linear(layer: nn.Linear, name: str, signal: Signal, run: Pass) -> Signal:  # noqa: ARG001
    return Signal((first_linear if signal.shared else linear)(run.tensors, name, signal.x))


@stacked.register(nn.Flatten)
def _flatten(layer: nn.Flatten, name: str, signal: Signal, run: Pass) -> Signal:  # noqa: ARG001
    if signal.shared:  # dense networks read flat samples
        return signal
    return Signal(flatten_features(signal.x, run.n_stacked))


@stacked.register(nn.BatchNorm1d)
@stacked.register(nn.BatchNorm2d)
def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, name: str, signal: Signal, run: Pass) -> Signal:
    x = signal.x if signal.groups else signal.x.flatten(0, 1)[None]
    return replace(signal, x=batch_norm(run.tensors, name, x, layer, run.train).view_as(signal.x))


@stacked.register(KeyedDropout)
def _dropout(layer: KeyedDropout, name: str, signal: Signal, run: Pass) -> Signal:
    if not run.train:
        return signal
    assert signal.groups == run.n_stacked
    x_GBCHW = signal.x.unflatten(1, (run.n_stacked, -1)).transpose(0, 1)
    dropped = drop(layer, run.tensors[f"{name}.key"], run.tensors[f"{name}.step"], x_GBCHW)
    return replace(signal, x=dropped.transpose(0, 1).flatten(1, 2))


def join(name: str, child: str) -> str:
    """The name of a layer's child, as ``state_dict`` has it."""
    return f"{name}.{child}" if name else child
