"""Any classifier of torchvision by name, as a stack whose networks run one after another.

Stacking pays for small networks only; these fill a device alone, so a population of one is as fast as any. Legend in
:mod:`s2e.networks.base`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from s2e.data.inception_resnet_v2 import own_name
from s2e.data.root import DATA_ROOT_VARIABLE, leaves_root
from s2e.data.torchvision_guard import models
from s2e.networks import declared
from s2e.networks.base import StackedNetwork, Tensors, key_dropout
from s2e.networks.dropout import KeyedDropout
from s2e.words import Problem, SpecError, derive_seed

_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}
"""Options of a classifier beside its name: no side outputs, because a trial has one loss."""
_SIDE_OUTPUTS = ("aux1.", "aux2.", "AuxLogits.")
_TAKES: set[tuple[type, str, int, tuple[int, ...]]] = set()
"""Classifiers that were seen to take samples of a shape, so that a process asks once and not for each population."""


class StackedTorchvision(StackedNetwork):
    """``variant`` names the classifier; its last layer has ``n_classes`` outputs. Grey images fill all three channels.

    Dropout and stochastic depth draw by key, as everywhere in a stack.
    """

    params: declared.Torchvision

    @property
    def name(self) -> str:
        """As a job says it."""
        return f"torchvision:{self.variant}"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._check_shape()
        norms = {
            name for name, layer in self.template.named_modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)
        }
        self._exact = frozenset(
            name for name, _ in self.template.named_parameters() if name.rpartition(".")[0] in norms
        )
        """Batch norm's parameters stay in the dtype of its running statistics."""

    def make_module(self) -> nn.Module:
        """Raises SpecError for a name that is not a classifier of the installed torchvision."""
        known = models().list_models(module=models())
        if self.variant not in known:
            allowed = "torchvision: and one of " + ", ".join(known)
            raise SpecError(Problem("train.network", f"torchvision:{self.variant}", allowed))
        options = _OPTIONS.get(self.variant, {})
        module: nn.Module = models().get_model(self.variant, weights=None, num_classes=self.n_classes, **options)
        _key_every_dropout(module)
        return module

    @staticmethod
    def arrange(image_SDHW: torch.Tensor) -> torch.Tensor:
        return image_SDHW.contiguous()

    def forward(self, tensors: Mapping[str, torch.Tensor], x: torch.Tensor, *, train: bool) -> torch.Tensor:
        n_stacked = next(iter(tensors.values())).shape[0]
        per_network = {name: self._split(name, tensor, x.dtype) for name, tensor in tensors.items()}
        if x.shape[-3] == 1:
            x = x.expand(*x.shape[:-3], 3, *x.shape[-2:])
        batches = [x] if x.dim() == 4 else list(x.unbind(0))
        n_networks = n_stacked // len(batches)
        self.template.train(train)
        logits = [
            functional_call(
                self.template, {name: parts[g] for name, parts in per_network.items()}, (batches[g // n_networks],)
            )
            for g in range(n_stacked)
        ]
        return torch.stack(logits)

    def _split(self, name: str, tensor: torch.Tensor, dtype: torch.dtype) -> list[torch.Tensor]:
        """Each network's part: parameters in the batch's dtype, buffers as views that a pass moves in place."""
        if name in self.buffer_names:
            return [tensor[g] for g in range(tensor.shape[0])]
        return list((tensor if name in self._exact else tensor.to(dtype)).unbind(0))

    def _meta_module(self) -> nn.Module:
        # some classifiers compute their sizes with tensors, which a meta device cannot answer
        with torch.random.fork_rng(devices=[]):
            return self.make_module().to("meta")

    def _draw(self, init_seed: int, n: int) -> nn.Module:
        """torchvision draws from the process-wide generator, which is borrowed and given back."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(init_seed, "network", n))
            module = self.make_module()
        key_dropout(module, init_seed, n)
        if self.params.weights != "none":
            _load_weights(module, self.params.weights, self.data_root)
        return module

    def _check_shape(self) -> None:
        """Raises SpecError where the classifier has no output for these images; asked without computing anything."""
        asked = (type(self), self.variant, self.n_classes, tuple(self.input_shape))
        if asked in _TAKES:
            return
        depth, height, width = self.input_shape
        name = self.name
        if depth not in (1, 3):
            raise SpecError(Problem("train.network", name, f"a network for {depth} channels: this one takes 1 or 3"))
        try:
            self.template.eval()(torch.empty(2, 3, height, width, device="meta"))
        except (RuntimeError, AssertionError, ValueError) as error:
            allowed = f"a network for images of {height}x{width} pixels, which this one does not take ({error})"
            raise SpecError(Problem("train.network", name, allowed)) from error
        _TAKES.add(asked)


def _key_every_dropout(module: nn.Module) -> None:
    """Put a keyed layer in the place of each one that draws from the process-wide generator."""
    for name, layer in list(module.named_modules()):
        p = getattr(layer, "p", 0.0)
        if isinstance(layer, nn.Dropout) and p > 0:
            module.set_submodule(name, KeyedDropout(p))
        elif type(layer).__name__ == "StochasticDepth" and p > 0:
            module.set_submodule(name, KeyedDropout(p, axes=1))


def _load_weights(module: nn.Module, weights: str, data_root: str | None) -> None:
    """Fill ``module`` from a file below the data root, but for a last layer of another number of classes."""
    own = module.state_dict()
    given = {
        own_name(name, own): t for name, t in _read(weights, data_root).items() if not name.startswith(_SIDE_OUTPUTS)
    }
    other_classes = {name for name in given.keys() & own.keys() if given[name].shape != own[name].shape}
    drawn = {name for name in own.keys() - given.keys() if not name.endswith(("num_batches_tracked", ".key", ".step"))}
    if given.keys() - own.keys() or drawn or len({name.rpartition(".")[0] for name in other_classes}) > 1:
        strange = sorted((given.keys() - own.keys()) | drawn | other_classes)
        raise _refusal(weights, f"a state dict of this classifier: {', '.join(strange[:3])} missing, unknown or misfit")
    module.load_state_dict({name: t for name, t in given.items() if name not in other_classes}, strict=False)


def _read(weights: str, data_root: str | None) -> Tensors:
    if not data_root or leaves_root(weights):
        raise _refusal(weights, f"a path below the data root, a given folder or the one {DATA_ROOT_VARIABLE} names")
    path = Path(data_root) / weights
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        state: Tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises is not documented; all of it means the same here
        raise _refusal(weights, f"a readable state dict ({error})") from error
    return state


def _refusal(weights: str, allowed: str) -> SpecError:
    return SpecError(Problem("train.network_params.weights", weights, allowed))
