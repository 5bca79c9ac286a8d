"""Published image files as their authors wrote them: idx (MNIST), pickles (CIFAR) and MATLAB's (SVHN).

torchvision reads them too, but to import it takes every process that trains longer (1.4 s of a processor) than to read
the files. Each reader gives (images, labels) of a half, images N x C x H x W; a file that is missing, damaged or of
another format raises OSError or ValueError.
"""

from __future__ import annotations

import hashlib
import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Half = tuple[NDArray[np.uint8], NDArray[np.int64]]

_BYTES = b"\0\0\x08"
"""The head of an idx file of bytes; the number of dimensions follows."""


@dataclass(frozen=True)
class Pickles:
    """CIFAR's files in ``folder``: those of the training half, the test file, the names of the classes."""

    folder: str
    md5: Mapping[str, str]
    """Published sums; a pickle is code, so no other file is opened."""
    labels: str

    def halves(self, root: Path) -> tuple[Half, Half]:
        folder = root / self.folder
        contents = {name: checked(folder / name, md5) for name, md5 in self.md5.items()}
        *train, test, _names = (pickle.loads(content, encoding="latin1") for content in contents.values())  # noqa: S301
        return self._half(train), self._half([test])

    def _half(self, batches: Sequence[Mapping[str, NDArray[np.uint8]]]) -> Half:
        images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        return images, np.concatenate([np.asarray(batch[self.labels], np.int64) for batch in batches])


CIFAR10 = Pickles(
    "cifar-10-batches-py",
    MappingProxyType(
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        }
    ),
    labels="labels",
)
CIFAR100 = Pickles(
    "cifar-100-python",
    MappingProxyType(
        {
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        }
    ),
    labels="fine_labels",
)
SVHN: Mapping[str, str] = MappingProxyType(
    {
        "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
        "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    }
)
"""MD5 sums of the training and of the test file."""


def mnist(folder: Path) -> tuple[Half, Half]:
    """The halves of MNIST, or of a set in its format, in ``folder``."""
    return _idx_half(folder, "train"), _idx_half(folder, "t10k")


def svhn(root: Path) -> tuple[Half, Half]:
    """The cropped digits below ``root``; label 10 is the digit 0."""
    train, test = (_mat_half(root / name, md5) for name, md5 in SVHN.items())
    return train, test


def checked(path: Path, md5: str) -> bytes:
    """The content of a file. Raises ValueError where its MD5 sum is another."""
    content = path.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise ValueError(f"{path.name} is corrupted: its MD5 sum is not {md5}")
    return content


def _idx_half(folder: Path, half: str) -> Half:
    images = _idx(folder / f"{half}-images-idx3-ubyte", 3)
    labels = _idx(folder / f"{half}-labels-idx1-ubyte", 1)
    return images[:, None], labels.astype(np.int64)


def _idx(path: Path, n_dims: int) -> NDArray[np.uint8]:
    """The array of an idx file: four bytes of head, the sizes as big-endian numbers of four bytes, and the cells."""
    content = np.fromfile(path, np.uint8)
    start = 4 * (n_dims + 1)
    if len(content) < start or bytes(content[:4]) != _BYTES + bytes([n_dims]):
        raise ValueError(f"{path.name} is no idx file of bytes in {n_dims} dimensions")
    shape = content[4:start].view(">u4").tolist()
    if len(content) - start != math.prod(shape):
        raise ValueError(f"{path.name} has {len(content) - start} cells, and its head says {shape}")
    return content[start:].reshape(shape)


def _mat_half(path: Path, md5: str) -> Half:
    from io import BytesIO

    from scipy.io import loadmat

    half = loadmat(BytesIO(checked(path, md5)))
    labels = half["y"].astype(np.int64).ravel()
    return np.ascontiguousarray(half["X"].transpose(3, 2, 0, 1)), np.where(labels == 10, 0, labels)
