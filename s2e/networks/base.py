"""The interface of a stacked network: G = K trials x N networks of one architecture, tensors with a leading axis G.

Legend: K trials, N networks per trial, G = K * N stacked networks, B batch, C classes, S samples, D channels.

``tensors`` is ``{name: [G, ...]}`` with the names of the plain module's ``state_dict`` (batch norm's step counter left
out: it matters only for a cumulative average, which no network here uses).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import get_type_hints

import torch
from torch import nn

from s2e.networks.dropout import KeyedDropout
from s2e.parts import NetworkPart
from s2e.words import derive_seed

Tensors = dict[str, torch.Tensor]


class StackedNetwork(ABC):
    """One architecture for samples of ``input_shape`` (D, H, W) and ``n_classes`` classes."""

    params: NetworkPart
    """The settings; a network that has some annotates it with the class that declares it."""
    compiled: bool = False
    """True if ``forward`` may take compiled passes that give the same bits as torch's operations."""

    def __init__(
        self,
        input_shape: Sequence[int],
        n_classes: int,
        params: NetworkPart | None = None,
        *,
        variant: str = "",
        data_root: str | None = None,
    ) -> None:
        """``variant`` follows the colon in a name such as ``torchvision:resnet50``; files of weights lie below
        ``data_root``."""
        self.input_shape = tuple(input_shape)
        self.n_classes = n_classes
        self.params = get_type_hints(type(self))["params"]() if params is None else params
        self.variant = variant
        self.data_root = data_root
        self.template = self._meta_module()
        """The plain network without numbers: its layers and their names."""
        self.buffer_names = frozenset(name for name, _ in self.template.named_buffers() if not _is_counter(name))

    @abstractmethod
    def make_module(self) -> nn.Module:
        """The plain network, parameters as torch creates them."""

    @staticmethod
    @abstractmethod
    def arrange(image_SDHW: torch.Tensor) -> torch.Tensor:
        """Images in the memory layout that ``forward`` reads, samples first."""

    @abstractmethod
    def forward(self, tensors: Mapping[str, torch.Tensor], x: torch.Tensor, *, train: bool) -> torch.Tensor:
        """Logits [G, B, C] in x's dtype. x is arranged images [B, ...] for all, or [K, B, ...], one batch per trial.

        With ``train`` batch norm uses the batch's statistics and moves the running ones in place, and dropout drops and
        counts its step in place.
        """

    def init(self, init_seeds: Iterable[int], n_networks: int) -> Tensors:
        """Stacked initial weights: network n of a trial is drawn from (init_seed, n), as torch draws it by default."""
        return self.from_modules([self._draw(seed, n) for seed in init_seeds for n in range(n_networks)])

    def from_modules(self, modules: Sequence[nn.Module]) -> Tensors:
        """Plain networks as stacked tensors."""
        states = [module.state_dict() for module in modules]
        return {name: torch.stack([state[name] for state in states]) for name in states[0] if not _is_counter(name)}

    def state_dict(self, tensors: Mapping[str, torch.Tensor], i: int) -> Tensors:
        """Network i's tensors under the plain module's names, copied."""
        return {name: tensor[i].detach().clone() for name, tensor in tensors.items()}

    def to_module(self, state: Mapping[str, torch.Tensor]) -> nn.Module:
        """The plain network with one network's tensors (:meth:`state_dict`), in evaluation mode."""
        module = self.make_module().to(next(tensor for tensor in state.values() if tensor.is_floating_point()))
        module.load_state_dict(dict(state))
        return module.eval()

    def _meta_module(self) -> nn.Module:
        with torch.device("meta"):
            return self.make_module()

    def _draw(self, init_seed: int, n: int) -> nn.Module:
        # As to_empty does it, whose empty_like of a meta tensor imports sympy: a second of CPU in every process.
        module: nn.Module = self._meta_module()._apply(
            lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
        )
        generator = torch.Generator().manual_seed(derive_seed(init_seed, "network", n))
        for layer in module.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                _draw_default(layer, generator)
            elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.reset_parameters()
        key_dropout(module, init_seed, n)
        return module


def key_dropout(module: nn.Module, init_seed: int, n: int) -> None:
    """Give each dropout layer of network n its own key."""
    for name, layer in module.named_modules():
        if isinstance(layer, KeyedDropout):
            layer.reset(derive_seed(init_seed, "dropout", n, name))


def cast(tensors: Mapping[str, torch.Tensor], device: torch.device, dtype: torch.dtype) -> Tensors:
    """The tensors on ``device``; numbers in ``dtype``, while dropout's keys and counters stay whole."""
    return {name: t.to(device, dtype if t.is_floating_point() else t.dtype) for name, t in tensors.items()}


def _draw_default(layer: nn.Linear | nn.Conv2d, generator: torch.Generator) -> None:
    """torch's own ``reset_parameters`` for these layers, with a generator instead of the process-wide one."""
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    if layer.bias is not None:
        bound = 1 / math.sqrt(layer.weight[0].numel())
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")
