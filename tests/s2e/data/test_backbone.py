"""A frozen backbone: the features that torchvision's classifier would hand to its last layer, computed once; heads
train on them, and new pictures go the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import s2e
from s2e.data.own import backbone, cache
from s2e.data.torchvision_guard import models
from s2e.door import parse_job
from s2e.parts import DATASETS
from s2e.words import DataError, SpecError

NAME, SIZE = "shufflenet_v2_x0_5", 32
PARAMS = {"path": "pets", "size": SIZE, "backbone": NAME, "weights": "shuffle.safetensors"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures of two classes, and the weights of a small classifier of 1,000 other ones."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("S2E_DATA_ROOT", str(tmp_path))
    rng = np.random.default_rng(0)
    for kind, bright in (("cat", 30), ("dog", 170)):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for i in range(24):
            pixels = rng.integers(bright, bright + 60, (20 + i % 4, 24, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / kind / f"{i}.png")
    torch.manual_seed(0)
    save_file(models().get_model(NAME, weights=None).state_dict(), tmp_path / "shuffle.safetensors")
    return tmp_path


def read(root: Path, **more: Any) -> Any:
    data = parse_job({"data": {"name": "images", "params": {**PARAMS, **more}}, "report": {"tau": 0.1}}).data
    return DATASETS["images"].of(data.params).read(data, str(root))


def test_features_are_those_before_the_last_layer_computed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read(root)
    network = models().get_model(NAME, weights=None)
    network.load_state_dict(backbone._state(root / "shuffle.safetensors"))
    caught: list[torch.Tensor] = []
    network.fc.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    file = sorted((root / "pets" / "cat").iterdir())[0]
    pixels = torch.from_numpy(data.encoder.image.encode_one(file))[None].float() / 255
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.MEAN, backbone.DEVIATION))
    network.eval()((pixels - mean) / deviation)
    expected = data.encoder.numbers.encode(caught[0].detach().numpy())
    np.testing.assert_allclose(data.encoder.samples_of([file]), expected, atol=1e-4)
    assert data.train_images.shape[1] == 1_024
    torch.testing.assert_close(data.train_images.mean(0), torch.zeros(1_024), atol=1e-4, rtol=0)
    monkeypatch.setattr(backbone, "features_of", None)  # read again, from the cache
    assert torch.equal(read(root).train_images, data.train_images)


def test_a_search_over_heads_and_new_pictures(root: Path) -> None:
    job = {
        "data": {"name": "images", "params": PARAMS, "n_validation": 12},
        "train": {"network": "mlp_tabular", "network_params": {"hidden": []}, "n_epochs": 5, "batch_size": 8},
        "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
        "report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1, "tau": 0.1},
    }
    report = s2e.search(job, data_root=root, output=root / "out", progress=False, workers=1)
    model = s2e.load_model(root / "out" / report.recommended_model)
    dark, light = (Image.fromarray(np.full((40, 30, 3), value, dtype=np.uint8)) for value in (60, 200))
    assert model.predict([dark, light]).tolist() == ["cat", "dog"]
    (root / "shuffle.safetensors").rename(root / "gone")
    with pytest.raises(DataError, match=r"shuffle\.safetensors'?: no such file below .*; nothing is downloaded"):
        model.predict([dark])


def test_what_is_no_backbone_is_refused(root: Path) -> None:
    with pytest.raises(SpecError, match=r"data\.params\.backbone = 'none': both or neither"):
        read(root, backbone="none")
    with pytest.raises(DataError, match="holds no weights of resnet18"):
        read(root, backbone="resnet18")
    with pytest.raises(DataError, match="ends in no linear layer"):
        read(root, backbone="squeezenet1_0")
    (root / "bad.pth").write_bytes(b"\x80\x04not a state dict")
    with pytest.raises(DataError, match=r"bad\.pth holds no state dict that can be read"):
        read(root, weights="bad.pth")
