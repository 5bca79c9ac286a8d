"""Any ``torch.nn.Module`` as a stack: mapped over networks by ``torch.func`` where possible, else one after another.

    class Mine(StackedModule):                                  # of a package, declared with @network(...)
        def make_module(self):
            return MyNetwork(self.input_shape, self.n_classes)

    register_module("mine", MyNetwork)                          # in this process: a job says train.network = "mine"

Both ways compute the same; mapped networks share kernels, which pays for small ones. A module that cannot be mapped,
such as one with a branch on a value, is detected when the network is built, and logged. Legend in
:mod:`s2e.networks.base`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from s2e.extras import needs
from s2e.parts import NETWORKS, NetworkPart
from s2e.words import derive_seed

with needs("train"):
    import torch
    from torch import nn
    from torch.func import functional_call, vmap
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from s2e.networks.base import StackedNetwork, key_dropout
    from s2e.networks.dropout import KeyedDropout

log = logging.getLogger(__name__)
Factory = Callable[[tuple[int, ...], int], nn.Module]
"""A module for samples of a shape, (D, H, W) or (F,), and a number of classes; it maps [B, ...] to logits [B, C]."""


class StackedModule(StackedNetwork):
    """A network whose plain form is any module; override :meth:`make_module`.

    It draws its initial weights itself, from torch's generator, which is seeded for it. Dropout draws by key, as
    everywhere in a stack.
    """

    params: NetworkPart

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.obstacle = self._obstacle()
        """Why its networks run one after another; empty: they are mapped."""
        if self.obstacle:
            log.warning("networks of %s run one after another: %s", type(self).__name__, self.obstacle)

    @staticmethod
    def arrange(image_SDHW: torch.Tensor) -> torch.Tensor:
        return image_SDHW.contiguous()

    def forward(self, tensors: Mapping[str, torch.Tensor], x: torch.Tensor, *, train: bool) -> torch.Tensor:
        """In the dtype of the weights: a stranger's norms and sums are not made for bfloat16."""
        self.template.train(train)
        own = next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point())
        run = self._one_by_one if self.obstacle else self._mapped
        return run(tensors, x.to(own), x.dim() == len(self.input_shape) + 1).to(x.dtype)

    def _mapped(self, tensors: Mapping[str, torch.Tensor], x: torch.Tensor, one_batch: bool) -> torch.Tensor:
        over_networks = vmap(self._call, in_dims=(0, None), randomness="different")
        if one_batch:
            return over_networks(dict(tensors), x)
        by_trial = {name: tensor.unflatten(0, (len(x), -1)) for name, tensor in tensors.items()}
        return vmap(over_networks, randomness="different")(by_trial, x).flatten(0, 1)

    def _one_by_one(self, tensors: Mapping[str, torch.Tensor], x: torch.Tensor, one_batch: bool) -> torch.Tensor:
        parts = {name: tensor.unbind(0) for name, tensor in tensors.items()}
        n_stacked = len(next(iter(parts.values())))
        batches = [x] if one_batch else list(x.unbind(0))
        n_networks = n_stacked // len(batches)
        return torch.stack(
            [
                self._call({name: part[g] for name, part in parts.items()}, batches[g // n_networks])
                for g in range(n_stacked)
            ]
        )

    def _call(self, tensors: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        with _plain_attention():
            logits: torch.Tensor = functional_call(self.template, dict(tensors), (x,))
        return logits

    def _obstacle(self) -> str:
        """Why ``torch.func`` cannot map the module; asked without computing anything."""
        state = {name: t for name, t in self.template.state_dict().items() if not name.endswith("num_batches_tracked")}
        pair = {name: torch.stack([tensor, tensor]) for name, tensor in state.items()}
        x = torch.empty(4, *self.input_shape, device="meta")
        try:
            self.template.train()
            shape = tuple(self._mapped(pair, x, True).shape)
        except Exception as error:  # whatever a stranger's module does, a loop may still do
            return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
        return "" if shape == (2, 4, self.n_classes) else f"logits of shape {shape[1:]}, not (4, {self.n_classes})"

    def _meta_module(self) -> nn.Module:
        # a module may draw, or compute its sizes with tensors, when it is made
        with torch.random.fork_rng(devices=[]):
            return _keyed(self.make_module()).to("meta")

    def _draw(self, init_seed: int, n: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(init_seed, "network", n))
            module = _keyed(self.make_module())
        key_dropout(module, init_seed, n)
        return module

    def to_module(self, state: Mapping[str, torch.Tensor]) -> nn.Module:
        module = _keyed(self.make_module()).to(next(tensor for tensor in state.values() if tensor.is_floating_point()))
        module.load_state_dict(dict(state), strict=False)  # batch norm's step counter is not stored
        return module.eval()


@contextmanager
def _plain_attention() -> Iterator[None]:
    """torch's fused attention cannot be mapped, nor can the whole layer that evaluation takes in its place."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


def register_module(name: str, factory: Factory, *, min_size: int = 1) -> None:
    """Let jobs of this process name a network that ``factory(input_shape, n_classes)`` makes.

    ``min_size``: least pixels of a side that it takes. Such a job trains in this process, and :func:`s2e.load_model`
    needs the name registered again; a package that shall be found everywhere declares a :class:`StackedModule`.
    Raises ValueError for a name that is taken or no plain one.
    """

    class Made(StackedModule):
        def make_module(self) -> nn.Module:
            return factory(self.input_shape, self.n_classes)

    class Declared(NetworkPart):
        @classmethod
        def load(cls) -> Any:
            return Made

    Made.__name__ = Made.__qualname__ = Declared.__name__ = name
    Declared.__doc__ = f"The module that {getattr(factory, '__qualname__', factory)} makes, registered in this process."
    Declared.__module__, Declared.__qualname__ = getattr(factory, "__module__", __name__), f"registered {name}"
    NETWORKS.declare(Declared, name, f"{__name__}:{StackedModule.__name__}", {"min_size": min_size, "variants": False})
    if NETWORKS.get(name) is not Declared:
        reason = NETWORKS.broken.get(name, "the name is taken")
        NETWORKS.forget_refusals(name)
        raise ValueError(f"no network can be called {name!r}: {reason}")


def _keyed(module: nn.Module) -> nn.Module:
    """The module with a keyed layer in the place of each dropout that draws from the process-wide generator."""
    axes: Sequence[tuple[type[nn.modules.dropout._DropoutNd], int | None]] = (
        (nn.Dropout, None),
        (nn.Dropout1d, 2),
        (nn.Dropout2d, 2),
    )
    for name, layer in list(module.named_modules()):
        for kind, shared in axes:
            if type(layer) is kind and layer.p > 0:
                module.set_submodule(name, KeyedDropout(layer.p, shared))
    return module
