"""Inception-ResNet-v2 against a public program, and as a job uses it: from a file of weights, and frozen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from s2e.data.datasets import load_whole
from s2e.data.encoders import NumberEncoder
from s2e.data.inception_resnet_v2 import InceptionResNetV2, own_name
from s2e.data.own import backbone, cache
from s2e.data.torchvision_guard import models
from s2e.door import parse_job
from s2e.networks import inception_resnet_v2 as stacked
from s2e.networks.build import build
from s2e.words import SpecError, TrainSpec

SIZE = 75
THIN = {"n_blocks": (1, 1, 1), "thin": 16}


def seen(network: torch.nn.Module) -> torch.nn.Module:
    """Batch norms that have seen something."""
    for name, tensor in network.named_buffers():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    return network.eval()


def test_the_layers_are_those_published() -> None:
    """Shapes of the weights, by the table of the paper (Fig. 15) and the published file."""
    with torch.device("meta"):
        network = InceptionResNetV2(1_000)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.named_parameters()}
    assert shapes["conv2d_1a.conv.weight"] == (32, 3, 3, 3)
    assert shapes["mixed_5b.branch1.1.conv.weight"] == (64, 48, 5, 5)
    assert shapes["repeat.9.branch2.2.conv.weight"] == (64, 48, 3, 3)
    assert shapes["repeat_1.19.branch1.1.conv.weight"] == (160, 128, 1, 7)
    assert shapes["mixed_7a.branch2.2.conv.weight"] == (320, 288, 3, 3)
    assert shapes["block8.conv2d.weight"] == (2_080, 448, 1, 1)
    assert shapes["classif.weight"] == (1_000, 1_536)
    factors = {name: layer.scale for name, layer in network.named_children() if hasattr(layer, "scale")}
    factors |= {name: getattr(network, name)[0].scale for name in ("repeat", "repeat_1", "repeat_2")}
    assert factors == {"repeat": 0.17, "repeat_1": 0.1, "repeat_2": 0.2, "block8": 1.0}


@pytest.mark.others
def test_it_computes_what_a_public_program_computes() -> None:
    models()  # lets torchvision, which the program imports, be imported
    program = pytest.importorskip("timm.models.inception_resnet_v2")
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        other = seen(program.InceptionResnetV2(num_classes=3))
        mine = InceptionResNetV2(3).eval()
        mine.load_state_dict(other.state_dict())
        x = torch.randn(1, 3, SIZE, SIZE)
        assert torch.equal(mine(x), other(x))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thin networks everywhere, the weights of one for other classes, and pictures."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    for name, value in THIN.items():
        monkeypatch.setattr(stacked.StackedInceptionResNetV2, name, value)
    monkeypatch.setattr(backbone, "InceptionResNetV2", lambda n: InceptionResNetV2(n, **THIN))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state = seen(InceptionResNetV2(7, **THIN)).state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    named = {name.replace("classif", "last_linear"): tensor for name, tensor in state.items()}
    torch.save(named, tmp_path / "weights.pth")
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(rng.integers(0, 256, (80, 76, 3)).astype(np.uint8)).save(
                tmp_path / "pets" / kind / f"{i}.png"
            )
    return tmp_path


@pytest.mark.parametrize("file", ["weights.safetensors", "weights.pth"])
def test_it_starts_from_a_file_of_weights(file: str, root: Path) -> None:
    train = TrainSpec(network="inception_resnet_v2", network_params={"weights": file})
    tensors = build(train, (3, SIZE, SIZE), 2, str(root)).init([0], 1)
    state = torch.load(root / "weights.pth")
    assert torch.equal(tensors["conv2d_7b.conv.weight"][0], state["conv2d_7b.conv.weight"])
    assert tensors["classif.weight"].shape == (1, 2, 96)
    with pytest.raises(SpecError, match="needs images of 75x75"):
        build(train, (3, 74, 80), 2, str(root))


def test_frozen_it_is_a_backbone(root: Path) -> None:
    params = {"path": "pets", "size": SIZE, "backbone": "inception_resnet_v2", "weights": "weights.pth"}
    data = parse_job({"data": {"name": "images", "params": params}, "report": {"tau": 0.1}}).data
    whole = load_whole(data, str(root))
    assert whole.train_images.shape[1:] == (96,)
    network = InceptionResNetV2(7, **THIN).eval()
    network.load_state_dict({own_name(k, network.state_dict()): v for k, v in torch.load(root / "weights.pth").items()})
    network.classif = torch.nn.Identity()
    files = sorted(root.glob("pets/*/*.png"))
    pixels = np.stack([whole.encoder.image.encode_one(file) for file in files])
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels) / 127.5 - 1)
    numbers: NumberEncoder = whole.encoder.numbers
    rows = dict(zip(whole.train_ids, whole.train_images, strict=True))
    for file, features in zip(files, numbers.encode(expected.numpy()), strict=True):
        if (name := file.relative_to(root).as_posix()) in rows:
            np.testing.assert_allclose(rows[name], features, atol=1e-3)
