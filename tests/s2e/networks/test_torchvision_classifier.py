"""Classifiers of torchvision by name: what is refused, which weights they start from, and that nothing draws unseen."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from s2e.data.root import DATA_ROOT_VARIABLE
from s2e.data.torchvision_guard import models
from s2e.networks.build import build
from s2e.networks.dropout import KeyedDropout
from s2e.networks.torchvision_classifier import StackedTorchvision
from s2e.train.population import StackedTrials
from s2e.words import SpecError, TrainSpec

SMALL = "squeezenet1_1"


@pytest.mark.parametrize(
    ("name", "shape", "allowed"),
    [
        ("resnet51", (3, 32, 32), "resnet50"),
        ("alexnet", (3, 32, 32), "32x32 pixels, which this one does not take"),
        ("vit_b_32", (3, 64, 64), "64x64 pixels, which this one does not take"),
        (SMALL, (2, 32, 32), "a network for 2 channels: this one takes 1 or 3"),
        (SMALL, (3, 31, 40), "torchvision:squeezenet1_1 needs images of 32x32"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(name, shape, allowed):
    with pytest.raises(SpecError) as refused:
        build(TrainSpec(network=f"torchvision:{name}"), shape, 10)
    (problem,) = refused.value.problems
    assert (problem.field, problem.value) == ("train.network", f"torchvision:{name}")
    assert allowed in problem.allowed


def test_a_classifier_is_asked_once_whether_it_takes_a_shape_and_each_time_where_it_does_not():
    asked = []
    hook = nn.modules.module.register_module_forward_pre_hook(lambda module, _x: asked.append(type(module).__name__))
    try:
        counts = []
        for shape in ((3, 37, 33), (3, 37, 33), (3, 33, 37)):
            StackedTorchvision(shape, 4, variant=SMALL)
            counts.append(asked.count("SqueezeNet"))
        for _ in range(2):
            with pytest.raises(SpecError):
                StackedTorchvision((3, 32, 32), 4, variant="alexnet")
    finally:
        hook.remove()
    assert counts == [1, 1, 2]
    assert asked.count("AlexNet") == 2


def test_every_dropout_draws_by_key():
    network = StackedTorchvision((3, 32, 32), 4, variant="efficientnet_b0")
    layers = list(network.template.modules())
    keyed = [layer for layer in layers if isinstance(layer, KeyedDropout)]
    assert {layer.axes for layer in keyed} == {None, 1}  # dropout and stochastic depth
    left = [layer for layer in layers if isinstance(layer, nn.Dropout) or type(layer).__name__ == "StochasticDepth"]
    assert not any(layer.p > 0 for layer in left)
    keys = network.init([0], 1)
    drawn = [int(tensor) for name, tensor in keys.items() if name.endswith(".key")]
    assert len(drawn) == len(keyed) == len(set(drawn))


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_ROOT_VARIABLE, str(tmp_path))
    return tmp_path


def published(n_classes=1000):
    """A state dict as torchvision publishes it, with its own names only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return models().get_model(SMALL, weights=None, num_classes=n_classes).state_dict()


def start(weights, n_classes=4, data_root=None):
    train = TrainSpec(network=f"torchvision:{SMALL}", network_params={"weights": weights})
    return build(train, (3, 32, 32), n_classes, data_root).init([7], 1)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_from_a_file_and_the_last_layer_is_new(root, suffix):
    given, path = published(), root / f"squeezenet{suffix}"
    save_file(given, path) if suffix == ".safetensors" else torch.save(given, path)
    drawn, loaded = start("none"), start(path.name)
    last = {"classifier.1.weight", "classifier.1.bias"}
    for name, tensor in given.items():
        assert torch.equal(loaded[name][0], drawn[name][0] if name in last else tensor)
    assert loaded["classifier.1.weight"].shape == (1, 4, 512, 1, 1)
    same_classes = start(path.name, n_classes=1000)
    assert all(torch.equal(same_classes[name][0], tensor) for name, tensor in given.items())


@pytest.mark.parametrize(
    ("weights", "allowed"),
    [
        ("missing.pth", "a readable state dict"),
        ("damaged.pth", "a readable state dict"),
        ("other.pth", "a state dict of this classifier"),
        ("short.pth", "a state dict of this classifier"),
        ("../outside.pth", "a path below the data root"),
        ("/outside.pth", "a path below the data root"),
    ],
)
def test_weights_that_do_not_fit_are_refused(root, weights, allowed):
    (root / "damaged.pth").write_bytes(b"not a state dict")
    torch.save({**published(), "more.weight": torch.zeros(1)}, root / "other.pth")
    torch.save({k: v for k, v in published().items() if not k.startswith("features.3")}, root / "short.pth")
    with pytest.raises(SpecError) as refused:
        start(weights)
    (problem,) = refused.value.problems
    assert (problem.field, problem.value) == ("train.network_params.weights", weights)
    assert allowed in problem.allowed


def test_weights_lie_below_the_data_root_of_the_training(root, tmp_path, monkeypatch):
    """The root that a training is given wins over the environment's."""
    torch.save(published(), root / "weights.pth")
    monkeypatch.setenv(DATA_ROOT_VARIABLE, str(tmp_path / "elsewhere"))
    loaded = start("weights.pth", data_root=str(root))
    assert torch.equal(loaded["features.0.weight"][0], published()["features.0.weight"])
    with pytest.raises(SpecError, match="a readable state dict"):
        start("weights.pth")


def test_a_training_hands_its_data_root_to_its_network(tiny):
    assert StackedTrials(tiny(), torch.device("cpu"), torch.float64, "some folder").network.data_root == "some folder"


def test_weights_need_a_data_root(monkeypatch):
    monkeypatch.delenv(DATA_ROOT_VARIABLE, raising=False)
    with pytest.raises(SpecError, match="a path below the data root"):
        start("weights.pth")
