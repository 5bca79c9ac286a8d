"""The contract of a network: a stack of G copies computes what each computes alone as a plain module (float64).

Legend: K trials, N networks per trial, G = K * N stacked networks, B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from s2e.networks.base import StackedNetwork, Tensors
from s2e.parts import NETWORKS
from s2e.testing.close import assert_close
from s2e.testing.suite import Contract

K, N, B, C = 2, 2, 6, 5
TOLERANCE = 1e-12
"""Of float64 after three steps of SGD, which moves a weight by a multiple of its gradient and magnifies no rounding."""


class NetworkContract(Contract):
    """Set ``network``: a registered name, or a list; NAME:VARIANT of a family.

    ``shapes`` has the samples that each is tried on where 3 channels of its least size, or 8 pixels, will not do.
    ``settings`` makes a network small: {network: {setting: value}}. Float64 is slow, and the code is the same at any
    width. A batch norm over very few values magnifies rounding: at the last layer there should be a dozen or more.
    """

    kind: ClassVar[str] = "network"
    network: ClassVar[str | Sequence[str]] = ()
    shapes: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def make(self, network: str) -> StackedNetwork:
        """The network under test."""
        family, _, variant = network.partition(":")
        part = NETWORKS[family]
        size = max(8, part.min_size)
        made: StackedNetwork = part.of(self.settings.get(network, {})).make(
            self.shapes.get(network, (3, size, size)), C, variant=variant
        )
        return made

    def plain_input(self, network: StackedNetwork, image: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Input of the plain module where the stack reads ``image``."""
        return image

    @pytest.mark.parametrize("shared", [True, False])
    @pytest.mark.parametrize("train", [True, False])
    def test_forward_backward_and_buffers_equal_the_plain_networks(
        self, network: str, shared: bool, train: bool
    ) -> None:
        made = self.make(network)
        image = _images(made, B if shared else K * B)
        x = made.arrange(image) if shared else made.arrange(image).unflatten(0, (K, B))
        target_GBC = torch.rand(K * N, B, C, generator=torch.Generator().manual_seed(2)).double()
        tensors = _double(made.init(range(K), N))
        modules = [made.to_module(made.state_dict(tensors, i)).train(train) for i in range(K * N)]
        _parameters(made, tensors)
        logits_GBC = made.forward(tensors, x, train=train)
        (logits_GBC * target_GBC).sum().backward()
        for i, module in enumerate(modules):
            batch = image if shared else image[i // N * B : (i // N + 1) * B]
            expected = module(self.plain_input(made, batch))
            (expected * target_GBC[i]).sum().backward()
            assert_close(f"logits of network {i}", logits_GBC[i], expected, TOLERANCE)
            for name, parameter in module.named_parameters():
                assert parameter.grad is not None
                _assert_gradient(tensors[name].grad, i, parameter.grad)
            for name, buffer in module.named_buffers():
                if name in made.buffer_names:
                    assert_close(name, tensors[name][i], buffer, TOLERANCE)

    def test_three_steps_equal_those_of_the_plain_networks(self, network: str) -> None:
        made = self.make(network)
        tensors = _double(made.init(range(K), N))
        modules = [made.to_module(made.state_dict(tensors, i)).train() for i in range(K * N)]
        start = {name: tensor.clone() for name, tensor in tensors.items()}
        stacked_step = torch.optim.SGD(_parameters(made, tensors), lr=0.01, momentum=0.9)
        plain_steps = [torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9) for module in modules]
        for seed in range(3):
            image, label_B = _images(made, B, seed), torch.arange(B) % C
            logits_GBC = made.forward(tensors, made.arrange(image), train=True)
            stacked_step.zero_grad()
            torch.stack([nn.functional.cross_entropy(one, label_B) for one in logits_GBC]).sum().backward()
            stacked_step.step()
            for module, optimizer in zip(modules, plain_steps, strict=True):
                optimizer.zero_grad()
                nn.functional.cross_entropy(module(self.plain_input(made, image)), label_B).backward()
                optimizer.step()
        evaluated_GBC = made.forward(tensors, made.arrange(image), train=False)
        for i, module in enumerate(modules):
            _assert_state(tensors, i, module)
            expected = module.eval()(self.plain_input(made, image))
            assert_close(f"logits of network {i}", evaluated_GBC[i], expected, TOLERANCE)
        assert max((tensors[name] - start[name]).abs().max() for name in tensors if "weight" in name) > 1e-4

    def test_a_trial_does_not_see_the_others(self, network: str) -> None:
        """Its dropout and batch norm included, through two passes."""
        made = self.make(network)
        together, alone = _double(made.init([3, 4], N)), _double(made.init([4], N))
        for seed in range(2):
            x = made.arrange(_images(made, B, seed))
            with torch.no_grad():
                both_GBC = made.forward(together, x, train=True)
                own_GBC = made.forward(alone, x, train=True)
            assert_close("logits", both_GBC[N:], own_GBC, TOLERANCE)
        for name in made.buffer_names:
            assert_close(name, together[name][N:], alone[name], TOLERANCE)

    def test_plain_and_stacked_turn_into_each_other(self, network: str) -> None:
        made = self.make(network)
        tensors = made.init([3, 4], N)
        modules = [made.to_module(made.state_dict(tensors, i)) for i in range(K * N)]
        back = made.from_modules(modules)
        assert back.keys() == tensors.keys()
        assert all(torch.equal(back[name], tensors[name]) for name in tensors)
        assert not any(module.training for module in modules)
        with torch.no_grad():
            next(modules[0].parameters()).zero_()
        assert all(torch.equal(back[name], tensors[name]) for name in tensors)

    def test_the_tensors_are_the_parameters_and_buffers_of_the_plain_network(self, network: str) -> None:
        made = self.make(network)
        tensors = made.init([0], 1)
        shapes = {name: parameter.shape for name, parameter in made.template.named_parameters()}
        assert {name: tensors[name].shape[1:] for name in tensors.keys() - made.buffer_names} == shapes
        assert all(tensor.isfinite().all() for tensor in tensors.values())

    def test_weights_depend_on_the_seed_and_on_the_network_only(self, network: str) -> None:
        before = torch.get_rng_state()
        made = self.make(network)
        alone, together = made.init([4], N), made.init([3, 4], N)
        assert torch.equal(torch.get_rng_state(), before)  # the process-wide generator is left alone
        for name in alone:
            assert torch.equal(alone[name], together[name][N:])
        first = next(tensor for tensor in reversed(together.values()) if tensor.dim() > 2)
        assert not any(torch.equal(first[i], first[j]) for i in range(K * N) for j in range(i))

    def test_it_keeps_a_bfloat16_batch_in_bfloat16(self, network: str) -> None:
        made = self.make(network)
        x = made.arrange(torch.rand(B, *made.input_shape)).bfloat16()
        for train in (True, False):
            logits_GBC = made.forward(made.init([0], 1), x, train=train)
            assert logits_GBC.dtype == torch.bfloat16
            assert logits_GBC.isfinite().all()

    def test_evaluation_drops_and_moves_nothing(self, network: str) -> None:
        made = self.make(network)
        tensors = made.init([0], 1)
        before = {name: tensor.clone() for name, tensor in tensors.items()}
        x = made.arrange(_images(made, B).float())
        first, second = (made.forward(tensors, x, train=False) for _ in range(2))
        assert torch.equal(first, second)
        assert all(torch.equal(tensors[name], before[name]) for name in tensors)

    def test_the_declared_least_size_works(self, network: str) -> None:
        family, _, variant = network.partition(":")
        part, (channels, *_) = NETWORKS[family], self.shapes.get(network, (3,))
        made: StackedNetwork = part().make((channels, part.min_size, part.min_size), C, variant=variant)
        assert all(0 not in parameter.shape for parameter in made.template.parameters())
        image = torch.empty(2, *made.input_shape, device="meta")
        assert made.template.eval()(self.plain_input(made, image)).shape == (2, C)


def _double(tensors: Tensors) -> Tensors:
    return {name: t.double() if t.is_floating_point() else t for name, t in tensors.items()}


def _images(network: StackedNetwork, n: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((n, *network.input_shape), generator=generator, dtype=torch.float64)


def _parameters(network: StackedNetwork, tensors: Tensors) -> list[torch.Tensor]:
    return [tensors[name].requires_grad_() for name in tensors if name not in network.buffer_names]


def _assert_gradient(stacked: torch.Tensor | None, i: int, plain: torch.Tensor) -> None:
    assert stacked is not None
    torch.testing.assert_close(stacked[i], plain, rtol=1e-10, atol=TOLERANCE)


def _assert_state(tensors: Tensors, i: int, module: nn.Module) -> None:
    state = module.state_dict()
    for name, tensor in tensors.items():
        assert tensor.dtype == state[name].dtype
        assert_close(name, tensor[i], state[name], TOLERANCE)
