"""Every network keeps the contract of s2e/testing, thin where its published width would make float64 slow: the code is
the same at any width and depth."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from s2e.networks.base import StackedNetwork, _draw_default
from s2e.networks.cnn import StackedCnn9, StackedModel2
from s2e.networks.dropout import KeyedDropout
from s2e.networks.inception_resnet_v2 import StackedInceptionResNetV2
from s2e.networks.mlp import StackedMLP, StackedSiguaDeep, StackedSiguaWide
from s2e.networks.resnet import StackedPreActResNet18, StackedResNet34
from s2e.parts import NETWORKS
from s2e.testing import NetworkContract
from s2e.testing.networks import C


class ThinModel2(StackedModel2):
    filters = (6, 6, 8, 8, 10, 6)


class ThinWide(StackedSiguaWide):
    hidden = (40, 10)


class ThinDeep(StackedSiguaDeep):
    hidden = (16,) * 5


class ThinCnn9(StackedCnn9):
    filters = (4, 4, 4, 6, 6, 6, 8, 6, 4)


class ThinResNet34(StackedResNet34):
    """Every kind of block, and few: each batch norm divides by what the one before left, so that 36 in a row magnify
    rounding a hundred times."""

    width = 4
    n_blocks = (2, 2, 1, 1)


class ThinPreActResNet18(StackedPreActResNet18):
    width = 4
    n_blocks = (2, 2, 1, 1)


class ThinInception(StackedInceptionResNetV2):
    n_blocks = (1, 1, 1)
    thin = 16


THIN: dict[str, type[StackedNetwork]] = {
    "model2": ThinModel2,
    "cnn9": ThinCnn9,
    "sigua_wide": ThinWide,
    "sigua_deep": ThinDeep,
    "resnet34": ThinResNet34,
    "preact_resnet18": ThinPreActResNet18,
    "inception_resnet_v2": ThinInception,
}


class TestNetworks(NetworkContract):
    network = (*NETWORKS.names(), "torchvision:shufflenet_v2_x0_5", "torchvision:squeezenet1_1")
    settings = {"mlp_tabular": {"hidden": [12, 7]}}  # noqa: RUF012 - of the class
    shapes = {  # noqa: RUF012
        "mlp_tabular": (1, 1, 30),
        "sigua_wide": (1, 8, 8),
        "sigua_deep": (1, 8, 8),
        "resnet34": (3, 16, 16),
        "preact_resnet18": (3, 16, 16),
        "torchvision:squeezenet1_1": (1, 32, 32),
    }

    def make(self, network: str) -> StackedNetwork:
        if network not in THIN:
            return super().make(network)
        shape = self.shapes.get(network, (3, *[max(8, NETWORKS[network].min_size)] * 2))
        return THIN[network](shape, C)

    def plain_input(self, network: StackedNetwork, image: torch.Tensor) -> torch.Tensor:
        """Grey images reach a torchvision network as three equal channels, so a plain one is shown those."""
        return image.expand(-1, 3, -1, -1) if network.variant and image.shape[1] == 1 else image


@pytest.mark.parametrize(
    "make",
    [lambda: nn.Linear(7, 5), lambda: nn.Conv2d(3, 4, 5), lambda: nn.Conv2d(3, 4, 5, bias=False)],
    ids=["linear", "conv", "conv without bias"],
)
def test_weights_are_drawn_as_torch_draws_them(make):
    torch.manual_seed(5)
    expected, mine = make(), make()
    _draw_default(mine, torch.Generator().manual_seed(5))
    assert torch.equal(mine.weight, expected.weight)
    assert mine.bias is expected.bias is None or torch.equal(mine.bias, expected.bias)


def test_a_layer_without_a_stacked_form_is_named():
    class Unknown(StackedMLP):
        def make_module(self):
            return nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Tanh())

    network = Unknown((1, 2, 2), 4)
    with pytest.raises(NotImplementedError, match="Tanh has no stacked form"):
        network.forward(network.init([0], 1), torch.zeros(3, 4), train=True)


@pytest.mark.parametrize("name", ["resnet34", "preact_resnet18"])
@pytest.mark.parametrize("shares_batch", [True, False])
def test_wide_networks_compute_one_after_another_what_they_do_side_by_side(name, shares_batch, monkeypatch):
    """Logits, gradients and running statistics; a GPU trains them side by side."""
    network = THIN[name]((3, 16, 16), 5)
    images = torch.rand(12, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = network.arrange(images)
    x = x if shares_batch else torch.stack([x, x.flip(0)])

    def trained():
        tensors = {name: tensor.double() for name, tensor in network.init([1, 2], 2).items()}
        learned = {name: t.requires_grad_() for name, t in tensors.items() if name not in network.buffer_names}
        logits = network.forward(tensors, x, train=True)
        logits.square().sum().backward()
        return [logits, *(t.grad for t in learned.values()), *(tensors[name] for name in sorted(network.buffer_names))]

    one_by_one = trained()
    monkeypatch.setattr(type(network), "is_wide", False)
    for mine, theirs in zip(one_by_one, trained(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


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
