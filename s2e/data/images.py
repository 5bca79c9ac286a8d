"""Image data sets: raw bytes and clean labels, from scikit-learn or in torchvision's folder layouts."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data import published
from s2e.data.datasets import Dataset
from s2e.data.declared.images import N_TEST_DIGITS
from s2e.data.published import Half
from s2e.data.root import not_found, required_root
from s2e.data.splits import stratified
from s2e.parts import DATASETS
from s2e.words import derive_seed


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
    expected = "cifar-10-batches-py/data_batch_1..5, test_batch and batches.meta"
    return _published("cifar10", "CIFAR10", data_root, expected, published.CIFAR10.halves)


def load_cifar100(data_root: str | None = None) -> Dataset:
    """CIFAR-100 with its 100 fine labels from ``<data root>/cifar-100-python``."""
    return _published(
        "cifar100", "CIFAR100", data_root, "cifar-100-python/train, test and meta", published.CIFAR100.halves
    )


def load_svhn(data_root: str | None = None) -> Dataset:
    """SVHN's cropped digits from ``<data root>``; its label 10 is the digit 0. The extra images are left out."""
    return _published("svhn", "SVHN", data_root, "train_32x32.mat and test_32x32.mat", published.svhn)


def _grey(name: str, title: str, data_root: str | None) -> Dataset:
    expected = f"{title}/raw/train-images-idx3-ubyte and its three companions"
    return _published(name, title, data_root, expected, lambda root: published.mnist(root / title / "raw"))


def _published(
    name: str, title: str, data_root: str | None, expected: str, read: Callable[[Path], tuple[Half, Half]]
) -> Dataset:
    """The data set that ``read`` finds below the data root; nothing is ever downloaded."""
    root = required_root(data_root, title, expected)
    try:
        halves = read(root)
    except (OSError, ValueError) as error:
        raise not_found(title, root, expected, error) from error
    (train_images, train_labels), (test_images, test_labels) = (map(torch.from_numpy, half) for half in halves)
    n_classes = DATASETS[name].n_classes
    assert n_classes is not None  # published, and declared
    return Dataset(name, n_classes, 255, train_images, train_labels, test_images, test_labels)
