"""Layers of stacked networks. Weights are kept in the optimiser's dtype and used in the batch's.

Dense layers run feature-major ([G, features, B]): a weight's gradient then comes out in the weight's own layout, where
[G, B, features] made autograd transpose every gradient (a quarter of an MLP's step).

Legend: K trials, N networks per trial, G = K * N stacked networks, B batch, I and O features in and out, C channels
(all networks' side by side).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

Params = Mapping[str, torch.Tensor]
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def linear(params: Params, name: str, x_GIB: torch.Tensor) -> torch.Tensor:
    """G linear layers of one size at once: [G, I, B] -> [G, O, B]."""
    weight_GOI, bias_GO = params[f"{name}.weight"].to(x_GIB.dtype), params[f"{name}.bias"].to(x_GIB.dtype)
    return torch.baddbmm(bias_GO[:, :, None], weight_GOI, x_GIB)


def first_linear(params: Params, name: str, x: torch.Tensor) -> torch.Tensor:
    """The same on inputs that networks share: [B, I] for all G, or [K, B, I] for the N of each trial -> [G, O, B].

    Networks that read the same batch form one wide product.
    """
    weight_GOI, bias_GO = params[f"{name}.weight"].to(x.dtype), params[f"{name}.bias"].to(x.dtype)
    if x.dim() == 2:
        y = torch.addmm(bias_GO.view(-1, 1), weight_GOI.flatten(0, 1), x.mT)
    else:
        n_trials, _, n_inputs = x.shape
        y = torch.baddbmm(bias_GO.view(n_trials, -1, 1), weight_GOI.view(n_trials, -1, n_inputs), x.mT)
    return y.view(*bias_GO.shape, -1)


def conv(params: Params, name: str, x_BCHW: torch.Tensor, groups: int, layer: nn.Conv2d) -> torch.Tensor:
    """G convolutions like ``layer`` as one grouped convolution over the stacked channels.

    ``groups`` is 1 if all networks read the same channels, K if each trial has its own, G if each network has.
    """
    weight, bias = params[f"{name}.weight"].flatten(0, 1), params.get(f"{name}.bias")
    if bias is not None:
        bias = bias.flatten().to(x_BCHW.dtype)
    return F.conv2d(x_BCHW, weight.to(x_BCHW.dtype), bias, layer.stride, layer.padding, groups=groups)


def batch_norm(params: Params, name: str, x: torch.Tensor, layer: BatchNorm, train: bool) -> torch.Tensor:
    """G batch norms like ``layer`` as one over the stacked channels, [B, G*c, H, W] or [1, G*I, B]: exactly each
    network's own, running statistics included."""
    weight, bias, mean, variance = (
        params[f"{name}.{part}"].flatten() for part in ("weight", "bias", "running_mean", "running_var")
    )
    return F.batch_norm(x, mean, variance, weight, bias, train, layer.momentum or 0.0, layer.eps)


def image_batch(x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Stored images [B, H, W, D] or [K, B, H, W, D] as channels-last [B, D or K*D, H, W], and the groups they form."""
    if x.dim() == 4:
        return x.permute(0, 3, 1, 2), 1
    n_trials, batch_size, height, width, depth = x.shape
    side_by_side = x.permute(1, 2, 3, 0, 4).reshape(batch_size, height, width, n_trials * depth)
    return side_by_side.permute(0, 3, 1, 2), n_trials


def flatten_features(x_BCHW: torch.Tensor, n_stacked: int) -> torch.Tensor:
    """[B, G*c, H, W] -> [G, c*H*W, B], each image in the order a plain network's ``flatten`` gives it."""
    return x_BCHW.permute(1, 2, 3, 0).reshape(n_stacked, -1, x_BCHW.shape[0])
