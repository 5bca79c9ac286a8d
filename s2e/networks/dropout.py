"""Dropout whose draws are a function of (network, layer, step): a trial drops the same whoever shares its population.

A generator would walk one stream for the whole stack. Here a draw is a hash of two numbers that each network carries as
buffers: the layer's ``key``, drawn from the initial seed, and its ``step``, the training passes so far. Both leave,
stop and resume with the weights.

Legend: G stacked networks, B batch, E draws of one network.
"""

from __future__ import annotations

import math

import torch
from torch import nn

_32_BITS = 0xFFFFFFFF


class KeyedDropout(nn.Module):
    """Dropout with probability ``p`` in training, the identity in evaluation.

    One draw decides for all that share the first ``axes`` axes: 1 a sample (stochastic depth), 2 a channel of a sample
    (channel dropout), None every element for itself.
    """

    key: torch.Tensor
    step: torch.Tensor

    def __init__(self, p: float, axes: int | None = None) -> None:
        super().__init__()
        self.p, self.axes = p, axes
        self.register_buffer("key", torch.zeros((), dtype=torch.int64))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def reset(self, key: int) -> None:
        """Begin the draws of ``key``, a 63-bit seed."""
        self.key.fill_(key)
        self.step.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x with B first."""
        if not self.training:
            return x
        return drop(self, self.key[None], self.step[None], x[None])[0]

    def extra_repr(self) -> str:
        return f"p={self.p}, axes={self.axes}"


def drop(layer: KeyedDropout, key_G: torch.Tensor, step_G: torch.Tensor, x_GB: torch.Tensor) -> torch.Tensor:
    """One training pass of G networks: x [G, B, ...] with dropped entries at 0 and the rest divided by 1 - p.

    Counts the step of each network in place.
    """
    shape = x_GB.shape if layer.axes is None else x_GB.shape[: 1 + layer.axes]
    kept = keyed_uniform(key_G, step_G, math.prod(shape[1:])).view(shape) >= layer.p
    step_G += 1
    factor = kept.to(x_GB.dtype) / (1 - layer.p)
    return x_GB * factor.view(*shape, *[1] * (x_GB.dim() - len(shape)))


def keyed_uniform(key_G: torch.Tensor, step_G: torch.Tensor, n_draws: int) -> torch.Tensor:
    """Draw e of network g from [0, 1), float64 [G, E]: a hash of (key_g, step_g, e) with 64 bits of state."""
    first_G = _mix(_mix(key_G & _32_BITS) ^ step_G)
    second_G = _mix(_mix(key_G >> 32) ^ first_G)
    draw_E = torch.arange(n_draws, device=key_G.device)
    return _mix(_mix(draw_E ^ first_G[:, None]) ^ second_G[:, None]).double() / 2**32


def _mix(x: torch.Tensor) -> torch.Tensor:
    """A permutation of the 32-bit numbers in which each bit of x flips half of the bits ("lowbias32", C. Wellons)."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _32_BITS
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _32_BITS
    return x ^ (x >> 16)
