"""Any module as a stack: mapped by torch.func or one after another, with the results of the plain module; registered
by a factory, trained, and loaded again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import s2e
from s2e.networks.any_module import StackedModule, register_module
from s2e.parts import NETWORKS
from s2e.testing import NetworkContract


class Attentive(nn.Module):
    """Rows of pixels as words: what no rule of a stack knows."""

    def __init__(self, shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        depth, _, width = shape
        self.enter = nn.Linear(depth * width, 16)
        self.look = nn.MultiheadAttention(16, 2, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.drop = nn.Dropout(0.2)
        self.leave = nn.Linear(16, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        words = self.enter(x.transpose(1, 2).flatten(2))
        seen, _ = self.look(words, words, words, need_weights=False)
        return self.leave(self.drop(self.norm(words + seen)).mean(1))


class Convolutional(nn.Module):
    """Batch norm with a shortcut around it."""

    def __init__(self, shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(shape[0], 6, 3, padding=1), nn.BatchNorm2d(6)
        self.leave = nn.Linear(6, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.leave((x + torch.relu(self.norm(x))).mean((2, 3)))


class Branching(Convolutional):
    """A branch on a value, which cannot be mapped."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x if float(x.detach().abs().sum()) > 0 else -x)


MODULES = {"attentive": Attentive, "convolutional": Convolutional, "branching": Branching}


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    for name, module in MODULES.items():
        register_module(name, module)
    yield
    for name in MODULES:
        NETWORKS.discard(name)


class TestAnyModule(NetworkContract):
    network = ("attentive", "convolutional")


class TestOneAfterAnother(NetworkContract):
    network = "branching"
    test_the_declared_least_size_works = None  # asked on tensors without values, on which it cannot branch


def made(name: str) -> Any:
    return NETWORKS[name].of({}).make((1, 8, 8), 3)


def test_what_can_be_mapped_is_and_the_rest_says_why(caplog: pytest.LogCaptureFixture) -> None:
    assert made("attentive").obstacle == made("convolutional").obstacle == ""
    assert "one after another" not in caplog.text
    assert made("branching").obstacle
    assert "networks of branching run one after another" in caplog.text


@pytest.mark.parametrize("name", ["attentive", "convolutional"])
@pytest.mark.parametrize("shared", [True, False])
def test_both_ways_compute_the_same(name: str, shared: bool) -> None:
    network = made(name)
    assert isinstance(network, StackedModule)
    results = []
    for obstacle in ("", "as asked"):
        network.obstacle = obstacle
        tensors = {key: t.double() if t.is_floating_point() else t for key, t in network.init([1, 2], 2).items()}
        x = torch.rand(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
        logits = network.forward(tensors, x[0] if shared else x, train=True)
        results.append((logits, {key: tensors[key] for key in network.buffer_names}))
    torch.testing.assert_close(results[0], results[1], atol=1e-12, rtol=0)


def test_a_job_of_this_process_trains_a_factorys_network(tmp_path: Any) -> None:
    job = {
        "data": {"n_train": 256, "n_validation": 64, "noise": {"noise_rate": 0.2}},
        "train": {"network": "attentive", "n_epochs": 2, "batch_size": 64},
        "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
        "report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1},
    }
    report = s2e.search(job, output=tmp_path, progress=False)
    model = s2e.load_model(tmp_path / report.recommended_model)
    assert isinstance(model.network, Attentive)
    with pytest.raises(ValueError, match="no network can be called 'mlp'"):
        register_module("mlp", Attentive)
    assert "mlp" not in NETWORKS.broken  # whoever asked was told
