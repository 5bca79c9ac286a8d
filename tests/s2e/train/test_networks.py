"""Networks with settings and with dropout, through the whole engine (float64)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from s2e.networks.dropout import KeyedDropout
from s2e.networks.sequential import StackedSequential
from s2e.parts import NETWORKS, NetworkPart, network
from s2e.train.trial import train_population
from s2e.words import SpecError, replace


class Dropping(StackedSequential):
    def make_module(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(self.input_shape[0], 8, 3),
            KeyedDropout(0.5, axes=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, self.n_classes),
        )


@pytest.fixture
def dropping(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    @network("dropping", module="dropping:Dropping")
    class DroppingPart(NetworkPart):
        """Of these tests."""

    monkeypatch.setitem(sys.modules, "dropping", SimpleNamespace(Dropping=Dropping))
    yield
    NETWORKS.discard("dropping")


def models(population):
    return list(train_population(population))[-1].models


@pytest.mark.usefixtures("dropping")
@pytest.mark.parametrize("shared_order", [True, False])
def test_dropout_does_not_depend_on_who_shares_the_population(tiny, shared_order):
    population = tiny(ks=(0, 1, 2), network="dropping", shared_order=shared_order)
    together = models(population)
    for i in range(3):
        (alone,) = models(replace(population, trials=(population.trials[i],)))
        for name, tensor in alone.items():
            torch.testing.assert_close(together[i][name], tensor, rtol=0, atol=1e-12)
    steps = {int(tensor) for name, tensor in together[0].items() if name.endswith(".step")}
    assert steps == {4 * 5}  # epochs x mini-batches, none in evaluation
    keys = [int(tensor) for model in together for name, tensor in model.items() if name.endswith(".key")]
    assert len(set(keys)) == len(keys) == 3 * 2


def test_settings_of_a_network_reach_it(tiny):
    (model,) = models(tiny(network="mlp_tabular", network_params={"hidden": [6, 5, 4]}))
    shapes = [tuple(model[f"network0.hidden{i}.weight"].shape) for i in (1, 2, 3)]
    assert shapes == [(6, 3 * 16 * 16), (5, 6), (4, 5)]


@pytest.mark.parametrize(
    ("network", "settings", "refused"),
    [
        ("cnn9", {}, "for images of 16x16 pixels: cnn9 needs images of 28x28"),
        ("torchvision:resnet18", {}, r"torchvision:resnet18 needs images of 32x32"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_before_training(tiny, network, settings, refused):
    with pytest.raises(SpecError, match=refused):
        next(iter(train_population(tiny(network=network, network_params=settings))))
