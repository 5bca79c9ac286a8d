"""A stack of networks against the same networks as plain modules, forward, backward and buffers (float64)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from s2e.models.cnn import StackedModel1, StackedModel2
from s2e.models.mlp import StackedMLP

K, N, B, C = 2, 2, 6, 5
SHAPE = (3, 16, 16)
NETWORKS = [StackedMLP, StackedModel1, StackedModel2]


@pytest.fixture(params=NETWORKS, ids=lambda cls: cls.__name__)
def network(request):
    return request.param(SHAPE, C)


def double(tensors):
    return {name: tensor.double() for name, tensor in tensors.items()}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("train", [True, False])
def test_forward_backward_and_buffers_equal_the_plain_networks(network, shared, train):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand((B, *SHAPE) if shared else (K * B, *SHAPE), generator=generator, dtype=torch.float64)
    x = network.store(image)
    x = x if shared else x.unflatten(0, (K, B))
    target_GBC = torch.rand(K * N, B, C, generator=generator, dtype=torch.float64)
    tensors = double(network.init(range(K), N))
    modules = [network.to_module(tensors, i).train(train) for i in range(K * N)]
    for name in tensors.keys() - network.buffer_names:
        tensors[name].requires_grad_()

    logits_GBC = network.forward(tensors, x, train=train)
    (logits_GBC * target_GBC).sum().backward()

    for i, module in enumerate(modules):
        batch = image if shared else image[i // N * B : (i // N + 1) * B]
        expected = module(batch)
        (expected * target_GBC[i]).sum().backward()
        torch.testing.assert_close(logits_GBC[i], expected, rtol=0, atol=1e-12)
        for name, parameter in module.named_parameters():
            torch.testing.assert_close(tensors[name].grad[i], parameter.grad, rtol=1e-10, atol=1e-12)
        for name, buffer in module.named_buffers():
            if name in network.buffer_names:
                torch.testing.assert_close(tensors[name][i], buffer, rtol=0, atol=1e-12)


def test_plain_and_stacked_turn_into_each_other(network):
    tensors = network.init([3, 4], N)
    modules = [network.to_module(tensors, i) for i in range(K * N)]
    back = network.from_modules(modules)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert not any(module.training for module in modules)
    with torch.no_grad():
        next(modules[0].parameters()).zero_()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_weights_depend_on_the_seed_and_on_the_network_only(network):
    alone, together = network.init([4], N), network.init([3, 4], N)
    for name in alone:
        assert torch.equal(alone[name], together[name][N:])
    first = together["output.weight"]
    assert not any(torch.equal(first[i], first[j]) for i in range(K * N) for j in range(i))


def test_drawing_weights_leaves_the_global_generator_alone(network):
    before = torch.get_rng_state()
    network.init([0], 1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("make", [lambda: nn.Linear(7, 5), lambda: nn.Conv2d(3, 4, 5)], ids=["linear", "conv"])
def test_weights_are_drawn_as_torch_draws_them(make):
    from s2e.models.base import _draw_default

    torch.manual_seed(5)
    expected, mine = make(), make()
    _draw_default(mine, torch.Generator().manual_seed(5))
    assert torch.equal(mine.weight, expected.weight)
    assert torch.equal(mine.bias, expected.bias)


def test_a_network_keeps_a_bfloat16_batch_in_bfloat16(network):
    x = network.store(torch.rand(B, *SHAPE)).bfloat16()
    assert network.forward(network.init([0], 1), x, train=True).dtype == torch.bfloat16
