"""Data sets as tensors in memory: raw bytes and clean labels. Scaling to [0, 1] is the only preprocessing.

S samples, H x W pixels, D channels. Each loader is found through :data:`s2e.catalog.DATASETS` and never downloads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from s2e import catalog
from s2e.data.human import human_labels
from s2e.data.limits import FACTS
from s2e.data.noise import draw
from s2e.data.splits import split, stratified
from s2e.data.torchvision_guard import datasets as torchvision_datasets
from s2e.errors import DataError
from s2e.spec import DataSpec, NoiseSpec, derive_seed, replace

DATA_ROOT_VARIABLE = "S2E_DATA_ROOT"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test set: images uint8 [S, D, H, W] holding 0..``max_value``, clean labels int64 [S]."""

    name: str
    n_classes: int
    max_value: int
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


@dataclass(frozen=True, eq=False)
class Part:
    """Images uint8 [S, D, H, W] and clean labels int64 [S]."""

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, eq=False)
class SplitData:
    """What a trial trains, validates and tests on. Training labels are the clean ones; noise is drawn per trial."""

    n_classes: int
    max_value: int
    train: Part
    validation: Part
    test: Part
    train_rows: torch.Tensor
    """Which samples of the official training set ``train`` holds, int64 [S]."""
    clean: Part | None = None
    """Trusted samples (``data.n_clean``), where there are any."""


def load_digits(data_root: str | None = None) -> Dataset:  # noqa: ARG001 - every loader has this signature
    """The 8x8 digits of scikit-learn, 0..16 grey. It ships one set; 500 stratified samples fixed here test."""
    from sklearn.datasets import load_digits as sklearn_digits

    bunch = sklearn_digits()
    images = torch.from_numpy(bunch.images.astype(np.uint8))[:, None]
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    rng = np.random.default_rng(derive_seed("digits", "test split"))
    test, train = map(torch.from_numpy, stratified(labels.numpy(), FACTS["digits"].n_test, rng))
    return Dataset("digits", 10, 16, images[train], labels[train], images[test], labels[test])


def load_mnist(data_root: str | None = None) -> Dataset:
    """MNIST from ``<data root>/MNIST/raw``."""
    train, test = _read("MNIST", data_root, "MNIST/raw/train-images-idx3-ubyte and its three companions")
    parts = [(part.data[:, None].contiguous(), part.targets.to(torch.int64)) for part in (train, test)]
    return Dataset("mnist", 10, 255, *parts[0], *parts[1])


def load_cifar10(data_root: str | None = None) -> Dataset:
    """CIFAR-10 from ``<data root>/cifar-10-batches-py``."""
    train, test = _read("CIFAR10", data_root, "cifar-10-batches-py/data_batch_1..5, test_batch and batches.meta")
    parts = [
        (torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets))
        for part in (train, test)
    ]
    return Dataset("cifar10", 10, 255, *parts[0], *parts[1])


def load_split(spec: DataSpec, data_root: str | None = None) -> SplitData:
    """The samples a job trains, validates and tests on; kept in the process for the next population."""
    return _load_split(replace(spec, noise=NoiseSpec(), normalise="none"), data_root or _environment_root())


@lru_cache(maxsize=4)
def _load_split(spec: DataSpec, data_root: str | None) -> SplitData:
    """``spec`` always with the same noise and scaling, so that populations which differ in these share the images."""
    whole = _load(spec.name, data_root)
    chosen = split(spec, whole.train_labels.numpy(), len(whole.test_labels))
    train, test = (whole.train_images, whole.train_labels), (whole.test_images, whole.test_labels)
    return SplitData(
        whole.n_classes,
        whole.max_value,
        _part(*train, chosen.train),
        _part(*(test if chosen.validation_from_test else train), chosen.validation),
        _part(*test, chosen.test),
        torch.from_numpy(chosen.train),
        _part(*train, chosen.clean) if len(chosen.clean) else None,
    )


@lru_cache(maxsize=2)
def _load(name: str, data_root: str | None) -> Dataset:
    loader: Callable[[str | None], Dataset] = catalog.load(catalog.DATASETS, name)
    return loader(data_root)


@lru_cache(maxsize=64)
def noisy_labels(spec: DataSpec, noise_seed: int, data_root: str | None = None) -> torch.Tensor:
    """The training labels [S] a trial sees: the clean ones through the noise drawn from ``noise_seed``."""
    data = load_split(spec, data_root)
    if spec.noise.kind == "human":
        return _human_labels(spec, data_root or _environment_root())[data.train_rows]
    return torch.from_numpy(draw(spec, data.train.labels.numpy(), data.n_classes, noise_seed))


def _human_labels(spec: DataSpec, data_root: str | None) -> torch.Tensor:
    """The labels people gave to the whole official training set."""
    whole = _load(spec.name, data_root)
    assert data_root is not None  # the data set itself was read from it
    clean_S = whole.train_labels.numpy()
    return torch.from_numpy(human_labels(spec.name, spec.noise.human_labels, clean_S, whole.n_classes, data_root))


def _part(images: torch.Tensor, labels: torch.Tensor, index: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Part:
    chosen = torch.from_numpy(index)
    return Part(images[chosen], labels[chosen])


def _environment_root() -> str | None:
    return os.environ.get(DATA_ROOT_VARIABLE) or None


def _read(name: str, data_root: str | None, expected: str) -> tuple[Any, Any]:
    """torchvision's training and test set ``name``, read from the data root and never downloaded."""
    if data_root is None:
        raise DataError(f"{name} needs a data root: set {DATA_ROOT_VARIABLE} to a folder that holds {expected}")
    reader = getattr(torchvision_datasets(), name)
    try:
        return reader(data_root, train=True, download=False), reader(data_root, train=False, download=False)
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"{name} not found below {DATA_ROOT_VARIABLE} = {data_root!r}, expected {expected} ({error})"
        ) from error
