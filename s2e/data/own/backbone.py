"""A frozen backbone: images as the features of a pretrained classifier (torchvision's, or Inception-ResNet-v2),
computed once and cached.

Stacked heads then train on vectors, so a search costs as much as one on a table. The weights come from a file below the
data root; nothing is downloaded, and no model holds a copy of them.

Legend: S images, F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from s2e.data.encoders import ImageEncoder, NumberEncoder
from s2e.data.inception_resnet_v2 import HALF, InceptionResNetV2, own_name
from s2e.data.own import cache
from s2e.data.own.source import Indices, Source
from s2e.data.root import environment_root, leaves_root, required_root
from s2e.data.rows import Samples, forget, samples, write_array
from s2e.data.torchvision_guard import models
from s2e.words import DataError

BATCH = 64
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's channels, which torchvision's weights were made with."""
INCEPTION = "inception_resnet_v2"
"""The backbone that torchvision does not have."""
VERSION = 1
"""Of how pixels become features."""


def statistics_of(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the pixels that a classifier's published weights were made with."""
    return (HALF, HALF) if name == INCEPTION else (MEAN, DEVIATION)


@dataclass(frozen=True)
class BackboneEncoder:
    """Image files as standardised features of a pretrained network, whose weights stay where they are."""

    image: ImageEncoder
    name: str
    """Of the classifier."""
    weights: str
    """Its file below the data root."""
    sha256: str
    """Of that file."""
    numbers: NumberEncoder

    def samples_of(self, rows: Any) -> NDArray[np.float32]:
        """Image files; see :meth:`ImageEncoder.samples_of`. Raises DataError where the weights are not below the data
        root, or are others than the model was trained behind."""
        root = environment_root()
        if (now := cache.sha256_of(weights_below(self.weights, root))) != self.sha256:
            was = self.sha256[:12]
            raise DataError(
                f"{self.weights} has the SHA-256 {now[:12]}; the model was trained behind weights with {was}"
            )
        return self.numbers.encode(features_of(self.image.samples_of(rows), self.name, self.weights, root))


@dataclass(frozen=True, eq=False)
class Embedded(Source):
    """Images behind a backbone."""

    images: Any
    """A source of pixels."""
    name: str
    weights: str
    data_root: str | None

    @property
    def file(self) -> str:  # type: ignore[override]
        return str(self.images.file)

    @property
    def label(self) -> str:  # type: ignore[override]
        return str(self.images.label)

    @property
    def labels(self) -> Sequence[str]:  # type: ignore[override]
        labels: Sequence[str] = self.images.labels
        return labels

    @property
    def labels_are_cells(self) -> bool:  # type: ignore[override]
        return bool(self.images.labels_are_cells)

    @property
    def input_names(self) -> Sequence[str]:
        return [f"{self.name} of {name}" for name in self.images.input_names]

    def where(self, i: int) -> str:
        return str(self.images.where(i))

    def ids(self) -> NDArray[Any]:
        ids: NDArray[Any] = self.images.ids()
        return ids

    def column(self, name: str) -> Sequence[str]:
        cells: Sequence[str] = self.images.column(name)
        return cells

    def skipped(self) -> Sequence[str]:
        files: Sequence[str] = self.images.skipped()
        return files

    def fit(self, rows: Indices) -> BackboneEncoder:
        digest = cache.sha256_of(weights_below(self.weights, self.data_root))
        numbers = NumberEncoder.of_rows(self._features(), rows)
        return BackboneEncoder(self.images.encoder, self.name, self.weights, digest, numbers)

    def encode(self, fitted: BackboneEncoder) -> NDArray[Any]:
        return fitted.numbers.encode(self._features())

    def samples(self, fitted: BackboneEncoder) -> Samples:
        return samples(self._features(), fitted.numbers.encode)

    def _features(self) -> NDArray[np.float32]:
        """[S, F], from the cache where they were computed before: the same bits for every process."""
        pixels = self.images.encode(None)
        file = weights_below(self.weights, self.data_root)
        content = cache.digest_of((VERSION, self.name, cache.sha256_of(file), _digest(pixels)))
        stored = cache.cache_root() / f"features-{content}.npy"
        if not stored.is_file():
            parts = _parts(pixels, self.name, self.weights, self.data_root)
            temporary = cache.place(stored.name)
            if temporary is None:
                return np.concatenate(list(parts))
            write_array(temporary, len(pixels), parts)
            temporary.replace(stored)
        return np.asarray(np.load(stored, mmap_mode="r", allow_pickle=False))


def _digest(pixels: NDArray[np.uint8]) -> str:
    digest = sha256()
    for start in range(0, len(pixels), BATCH):
        digest.update(np.ascontiguousarray(pixels[start : start + BATCH]).data)
        forget(pixels)
    return f"{pixels.shape} {digest.hexdigest()}"


def features_of(pixels: NDArray[np.uint8], name: str, weights: str, data_root: str | None) -> NDArray[np.float32]:
    """Features [S, F] of pixels [S, D, H, W]: the input of the classifier's last layer.

    Raises DataError for weights that are missing or of another classifier.
    """
    return np.concatenate(list(_parts(pixels, name, weights, data_root)))


def _parts(pixels: NDArray[np.uint8], name: str, weights: str, data_root: str | None) -> Iterator[NDArray[np.float32]]:
    """The features of a batch after the other."""
    network = _network(name, str(weights_below(weights, data_root)))
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in statistics_of(name))
    for start in range(0, len(pixels), BATCH):
        x = torch.from_numpy(np.ascontiguousarray(pixels[start : start + BATCH])).float() / 255
        x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
        forget(pixels)
        try:
            with torch.inference_mode():
                features = network((x - mean) / deviation).flatten(1)
        except RuntimeError as error:
            size = "x".join(map(str, pixels.shape[2:]))
            raise DataError(f"data.params.backbone = {name}: it does not take images of {size} ({error})") from error
        yield np.asarray(features.numpy(), dtype=np.float32)


def weights_below(weights: str, data_root: str | None) -> Path:
    """The file of weights. Raises DataError where it is missing."""
    root = required_root(data_root, "a backbone", f"its weights {weights!r}")
    if leaves_root(weights) or not (root / weights).is_file():
        raise DataError(f"data.params.weights = {weights!r}: no such file below {str(root)!r}; nothing is downloaded")
    return root / weights


@lru_cache(maxsize=1)
def _network(name: str, file: str) -> nn.Module:
    """The classifier without its last layer."""
    network = _made(name)
    layers = [at for at, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise DataError(f"data.params.backbone = {name!r} ends in no linear layer; take another, such as resnet18")
    head = layers[-1]
    own = network.state_dict()
    state = {own_name(key, own): value for key, value in _state(Path(file)).items()}
    state = {key: value for key, value in state.items() if not key.startswith(f"{head}.")}
    network.set_submodule(head, nn.Identity())
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"{Path(file).name} holds no weights of {name}: {str(error)[:300]}") from error
    return network.eval()


def _made(name: str) -> nn.Module:
    """The whole classifier, without weights that mean anything. Raises DataError for an unknown name."""
    if name == INCEPTION:
        return InceptionResNetV2(1_000)
    known = models().list_models(module=models())
    if name not in known:
        raise DataError(f"data.params.backbone = {name!r}: one of {INCEPTION}, {', '.join(known)}")
    network: nn.Module = models().get_model(name, weights=None)
    return network


def _state(file: Path) -> dict[str, torch.Tensor]:
    """A state dict, read without running anything in it."""
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(file))
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # what a damaged file raises is not documented; all of it means the same here
        raise DataError(f"{file.name} holds no state dict that can be read ({error})") from error
