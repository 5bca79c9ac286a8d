"""A stack of networks against the same networks as plain modules: forward, backward, steps and buffers (float64)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from s2e.networks.dropout import KeyedDropout
from s2e.parts import NETWORKS

K, N, B = 2, 2, 6
STEPS_TOLERANCE = {"ThinResNet34": 1e-10}
"""After three steps, 1e-12 but here: 36 batch norms in a row, the last ones over six values, magnify rounding
(4e-12 seen in the weights, 1.3e-11 in the logits)."""


def double(tensors):
    return {name: t.double() if t.is_floating_point() else t for name, t in tensors.items()}


def images(network, n, seed=1):
    """Grey images reach a torchvision network as three equal channels, so a plain one is shown those."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((n, *network.input_shape), generator=generator, dtype=torch.float64)


def plain_input(network, image):
    return image.expand(-1, 3, -1, -1) if network.variant and image.shape[1] == 1 else image


def parameters(network, tensors):
    return [tensors[name].requires_grad_() for name in tensors if name not in network.buffer_names]


def assert_state(network, tensors, i, module, tolerance):
    state = module.state_dict()
    for name, tensor in tensors.items():
        assert tensor.dtype == state[name].dtype
        torch.testing.assert_close(tensor[i], state[name], rtol=0, atol=tolerance, msg=lambda m, name=name: name + m)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("train", [True, False])
def test_forward_backward_and_buffers_equal_the_plain_networks(network, shared, train):
    image = images(network, B if shared else K * B)
    x = network.arrange(image)
    x = x if shared else x.unflatten(0, (K, B))
    target_GBC = torch.rand(K * N, B, network.n_classes, generator=torch.Generator().manual_seed(2)).double()
    tensors = double(network.init(range(K), N))
    modules = [network.to_module(network.state_dict(tensors, i)).train(train) for i in range(K * N)]
    parameters(network, tensors)

    logits_GBC = network.forward(tensors, x, train=train)
    (logits_GBC * target_GBC).sum().backward()

    for i, module in enumerate(modules):
        batch = image if shared else image[i // N * B : (i // N + 1) * B]
        expected = module(plain_input(network, batch))
        (expected * target_GBC[i]).sum().backward()
        torch.testing.assert_close(logits_GBC[i], expected, rtol=0, atol=1e-12)
        for name, parameter in module.named_parameters():
            torch.testing.assert_close(tensors[name].grad[i], parameter.grad, rtol=1e-10, atol=1e-12)
        for name, buffer in module.named_buffers():
            if name in network.buffer_names:
                torch.testing.assert_close(tensors[name][i], buffer, rtol=0, atol=1e-12)


def test_three_steps_equal_those_of_the_plain_networks(network):
    tensors = double(network.init(range(K), N))
    modules = [network.to_module(network.state_dict(tensors, i)).train() for i in range(K * N)]
    start = {name: tensor.clone() for name, tensor in tensors.items()}
    stacked_step = torch.optim.SGD(parameters(network, tensors), lr=0.01, momentum=0.9)
    plain_steps = [torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9) for module in modules]
    for seed in range(3):
        image, label_B = images(network, B, seed), torch.arange(B) % network.n_classes
        logits_GBC = network.forward(tensors, network.arrange(image), train=True)
        stacked_step.zero_grad()
        sum(nn.functional.cross_entropy(logits_BC, label_B) for logits_BC in logits_GBC).backward()
        stacked_step.step()
        for module, optimizer in zip(modules, plain_steps, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(plain_input(network, image)), label_B).backward()
            optimizer.step()
    evaluated_GBC = network.forward(tensors, network.arrange(image), train=False)
    tolerance = STEPS_TOLERANCE.get(type(network).__name__, 1e-12)
    for i, module in enumerate(modules):
        assert_state(network, tensors, i, module, tolerance)
        expected = module.eval()(plain_input(network, image))
        torch.testing.assert_close(evaluated_GBC[i], expected, rtol=0, atol=tolerance)
    assert max((tensors[name] - start[name]).abs().max() for name in tensors if "weight" in name) > 1e-4


def test_a_trial_does_not_see_the_others(network):
    """Its dropout and batch norm included, through two passes."""
    together, alone = double(network.init([3, 4], N)), double(network.init([4], N))
    for seed in range(2):
        x = network.arrange(images(network, B, seed))
        with torch.no_grad():
            both_GBC = network.forward(together, x, train=True)
            own_GBC = network.forward(alone, x, train=True)
        torch.testing.assert_close(both_GBC[N:], own_GBC, rtol=0, atol=1e-12)
    for name in network.buffer_names:
        torch.testing.assert_close(together[name][N:], alone[name], rtol=0, atol=1e-12)


def test_plain_and_stacked_turn_into_each_other(network):
    tensors = network.init([3, 4], N)
    modules = [network.to_module(network.state_dict(tensors, i)) for i in range(K * N)]
    back = network.from_modules(modules)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert not any(module.training for module in modules)
    with torch.no_grad():
        next(modules[0].parameters()).zero_()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_the_tensors_are_the_parameters_and_buffers_of_the_plain_network(network):
    tensors = network.init([0], 1)
    shapes = {name: parameter.shape for name, parameter in network.template.named_parameters()}
    assert {name: tensors[name].shape[1:] for name in tensors.keys() - network.buffer_names} == shapes
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_weights_depend_on_the_seed_and_on_the_network_only(network):
    alone, together = network.init([4], N), network.init([3, 4], N)
    for name in alone:
        assert torch.equal(alone[name], together[name][N:])
    first = next(tensor for name, tensor in reversed(together.items()) if tensor.dim() > 2)
    assert not any(torch.equal(first[i], first[j]) for i in range(K * N) for j in range(i))


def test_making_a_network_and_its_weights_leaves_the_global_generator_alone(network):
    before = torch.get_rng_state()
    type(network)(network.input_shape, network.n_classes, network.params, variant=network.variant).init([0], 1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "make",
    [lambda: nn.Linear(7, 5), lambda: nn.Conv2d(3, 4, 5), lambda: nn.Conv2d(3, 4, 5, bias=False)],
    ids=["linear", "conv", "conv without bias"],
)
def test_weights_are_drawn_as_torch_draws_them(make):
    from s2e.networks.base import _draw_default

    torch.manual_seed(5)
    expected, mine = make(), make()
    _draw_default(mine, torch.Generator().manual_seed(5))
    assert torch.equal(mine.weight, expected.weight)
    assert mine.bias is expected.bias is None or torch.equal(mine.bias, expected.bias)


def test_a_network_keeps_a_bfloat16_batch_in_bfloat16(network):
    x = network.arrange(torch.rand(B, *network.input_shape)).bfloat16()
    for train in (True, False):
        logits_GBC = network.forward(network.init([0], 1), x, train=train)
        assert logits_GBC.dtype == torch.bfloat16
        assert logits_GBC.isfinite().all()


def test_evaluation_drops_and_moves_nothing(network):
    tensors = network.init([0], 1)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    x = network.arrange(images(network, B).float())
    first, second = (network.forward(tensors, x, train=False) for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(tensors[name], before[name]) for name in tensors)


def test_a_layer_without_a_stacked_form_is_named():
    class Unknown(NETWORKS["mlp"].load()):
        def make_module(self):
            return nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Tanh())

    network = Unknown((1, 2, 2), 4)
    with pytest.raises(NotImplementedError, match="Tanh has no stacked form"):
        network.forward(network.init([0], 1), torch.zeros(3, 4), train=True)


@pytest.mark.parametrize("name", list(NETWORKS.names()))
def test_the_least_image_is_the_least_that_works(name):
    size = NETWORKS[name].min_size
    network = NETWORKS[name]().make((3, size, size), 4)
    assert all(0 not in parameter.shape for parameter in network.template.parameters())
    out = network.template.eval()(torch.empty(2, 3, size, size, device="meta"))
    assert out.shape == (2, 4)


@pytest.mark.parametrize("name", ["model1", "model2", "cnn9"])
def test_a_smaller_image_would_not_work(name):
    size = NETWORKS[name].min_size - 1
    with pytest.raises((RuntimeError, UserWarning), match=r"zero-element|can't be greater than actual input"):
        NETWORKS[name]().make((3, size, size), 4).template.eval()(torch.empty(2, 3, size, size, device="meta"))


def test_dropout_off_leaves_no_dropout():
    made = (NETWORKS["cnn9"].of({"dropout": dropout}).make((3, 32, 32), 10) for dropout in ("train_only", "off"))
    with_dropout, without = (network.template for network in made)
    assert [layer.p for layer in with_dropout if isinstance(layer, KeyedDropout)] == [0.25, 0.25]
    assert not any(isinstance(layer, KeyedDropout) for layer in without)
