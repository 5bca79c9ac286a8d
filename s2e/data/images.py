"""Image data sets: raw bytes and clean labels, from scikit-learn or in torchvision's folder layouts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.datasets import Dataset
from s2e.data.declared.images import N_TEST_DIGITS
from s2e.data.root import not_found, required_root
from s2e.data.splits import stratified
from s2e.data.torchvision_guard import datasets as torchvision_datasets
from s2e.parts import DATASETS
from s2e.words import derive_seed

_BY_FLAG = ({"train": True}, {"train": False})
_BY_NAME = ({"split": "train"}, {"split": "test"})


def load_digits(data_root: str | None = None) -> Dataset:  # noqa: ARG001 - every loader has this signature
    """The 8x8 digits of scikit-learn, 0..16 grey. It ships one set; 500 stratified samples fixed here test."""
    cells = _digits()
    images = torch.from_numpy(cells[:, :-1].reshape(-1, 1, 8, 8).astype(np.uint8))
    labels = torch.from_numpy(cells[:, -1])
    rng = np.random.default_rng(derive_seed("digits", "test split"))
    test, train = map(torch.from_numpy, stratified(labels.numpy(), N_TEST_DIGITS, rng))
    return Dataset("digits", 10, 16, images[train], labels[train], images[test], labels[test])


def _digits() -> NDArray[np.int64]:
    """(1797, 65): 64 pixels and the class. From scikit-learn's own file, because to import its loader, pandas and
    scipy.stats with it, takes longer than a small training; by the loader where the file is somewhere else."""
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            return np.loadtxt(file, dtype=np.int64, delimiter=",")
    from sklearn.datasets import load_digits as sklearn_digits

    bunch = sklearn_digits()
    return np.column_stack([bunch.data, bunch.target]).astype(np.int64)


def load_mnist(data_root: str | None = None) -> Dataset:
    """MNIST from ``<data root>/MNIST/raw``."""
    return _grey("mnist", "MNIST", data_root)


def load_fashion_mnist(data_root: str | None = None) -> Dataset:
    """Fashion-MNIST from ``<data root>/FashionMNIST/raw``."""
    return _grey("fashion_mnist", "FashionMNIST", data_root)


def load_cifar10(data_root: str | None = None) -> Dataset:
    """CIFAR-10 from ``<data root>/cifar-10-batches-py``."""
    return _cifar("cifar10", "CIFAR10", data_root, "cifar-10-batches-py/data_batch_1..5, test_batch and batches.meta")


def load_cifar100(data_root: str | None = None) -> Dataset:
    """CIFAR-100 with its 100 fine labels from ``<data root>/cifar-100-python``."""
    return _cifar("cifar100", "CIFAR100", data_root, "cifar-100-python/train, test and meta")


def load_svhn(data_root: str | None = None) -> Dataset:
    """SVHN's cropped digits from ``<data root>``; its label 10 is the digit 0. The extra images are left out."""
    parts = _read("SVHN", data_root, "train_32x32.mat and test_32x32.mat", _BY_NAME)
    arrays = [(torch.from_numpy(np.ascontiguousarray(p.data)), torch.from_numpy(p.labels)) for p in parts]
    return _dataset("svhn", arrays)


def _grey(name: str, reader: str, data_root: str | None) -> Dataset:
    expected = f"{reader}/raw/train-images-idx3-ubyte and its three companions"
    parts = _read(reader, data_root, expected, _BY_FLAG)
    return _dataset(name, [(part.data[:, None].contiguous(), part.targets) for part in parts])


def _cifar(name: str, reader: str, data_root: str | None, expected: str) -> Dataset:
    parts = _read(reader, data_root, expected, _BY_FLAG)
    return _dataset(
        name,
        [(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)) for part in parts],
    )


def _dataset(name: str, parts: list[tuple[torch.Tensor, torch.Tensor]]) -> Dataset:
    (train_images, train_labels), (test_images, test_labels) = parts
    labels = train_labels.to(torch.int64), test_labels.to(torch.int64)
    n_classes = DATASETS[name].n_classes
    assert n_classes is not None  # published, and declared
    return Dataset(name, n_classes, 255, train_images, labels[0], test_images, labels[1])


def _read(name: str, data_root: str | None, expected: str, halves: tuple[Mapping[str, Any], ...]) -> list[Any]:
    """torchvision's training and test set ``name``, read from the data root and never downloaded."""
    root = required_root(data_root, name, expected)
    reader = getattr(torchvision_datasets(), name)
    try:
        return [reader(str(root), download=False, **half) for half in halves]
    except (RuntimeError, OSError, ValueError, AssertionError) as error:  # it asserts on a file of another format
        raise not_found(name, root, expected, error) from error
