"""Data sets as tensors in memory: raw bytes or features, and labels as they came; their splits and their noisy labels.

S samples, H x W pixels, D channels, F features. A loader is named by its data set's declaration
(:data:`s2e.parts.DATASETS`) and never downloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.encoding import Encoder
from s2e.data.human import human_labels
from s2e.data.instance import Rows
from s2e.data.noise import draw
from s2e.data.own.files import Looks, require_unchanged, state_of
from s2e.data.root import environment_root
from s2e.data.rows import Samples, in_memory
from s2e.data.splits import split
from s2e.parts import DATASETS, NOISE, noise_of
from s2e.words import DataError, DataSpec, NoiseSpec, TrustedRows, derive_seed, replace


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test set with labels int64 [S]; ``data.labels`` says what is known of them.

    Samples are a tensor, or the rows of a file that is too large for memory. Images are uint8 [S, D, H, W] holding
    0..``max_value``; feature vectors are float32 [S, F], and ``max_value`` is 1. The engine divides by it and does
    nothing else.
    """

    name: str
    n_classes: int
    max_value: int
    train_images: Samples
    train_labels: torch.Tensor
    test_images: Samples
    test_labels: torch.Tensor
    encoder: Encoder | None = None
    """Turns new rows into samples; None where rows are samples already."""
    class_names: tuple[str, ...] = ()
    """By class number, where the data say them."""
    trusted: torch.Tensor | None = None
    """Training rows whose labels are known to be right, bool [S], where the job says some are."""
    counted: TrustedRows | None = None
    """Numbers of trusted rows that test, validate and train; where some test, no other sample does."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """Missing cells by column, where some are."""
    skipped: tuple[str, ...] = ()
    """Files that were left out because the job asked for it."""
    notes: tuple[str, ...] = ()
    """Sentences on how files were read, where that is not plain."""
    train_ids: NDArray[Any] | None = None
    """The user's own name for each training row [S]; None where rows go by their number from 0."""
    test_ids: NDArray[Any] | None = None
    """The same of the test rows."""


@dataclass(frozen=True, eq=False)
class Part:
    """Images uint8 [S, D, H, W], or features float32 [S, F], and labels int64 [S] before any injected noise."""

    images: Samples
    labels: torch.Tensor


@dataclass(frozen=True, eq=False)
class SplitData:
    """The samples a trial trains, validates and tests on, with labels as they came; noise is injected per trial."""

    n_classes: int
    max_value: int
    train: Part
    validation: Part
    test: Part
    train_rows: torch.Tensor
    """Rows of the official training set that ``train`` holds, int64 [S]."""
    validation_rows: torch.Tensor
    """Rows that ``validation`` holds of the set it was taken from."""
    clean: Part | None = None
    """Trusted samples (``data.n_clean``), where there are any."""
    beside: Part | None = None
    """Samples whose labels may be wrong, held out beside trusted ones that validate."""
    encoder: Encoder | None = None
    class_names: tuple[str, ...] = ()
    trusted: torch.Tensor | None = None
    """Samples that train and have a label known to be right, bool [S]."""
    counted: TrustedRows | None = None
    """Numbers of trusted rows that test, validate and train. Where some validate, no other row does."""

    @property
    def validates_by_trust(self) -> bool:
        """True if validation labels are known to be right, though training labels are not."""
        return self.counted is not None and self.counted.n_validation > 0

    train_ids: NDArray[Any] | None = None
    """Of ``train``, as in :class:`Dataset`."""
    validation_ids: NDArray[Any] | None = None
    test_ids: NDArray[Any] | None = None

    @property
    def tests_by_trust(self) -> bool:
        """True if test labels are known to be right, though training labels are not."""
        return self.counted is not None and self.counted.n_test > 0


def load_split(spec: DataSpec, data_root: str | None = None) -> SplitData:
    """The samples a job trains, validates and tests on; kept in the process for the next population."""
    _forget_changed(spec, data_root or environment_root())
    return _load_split(
        replace(
            spec,
            noise=NoiseSpec(),
            normalise="none",
            validation_labels="clean",
            labels="injected",
            estimate=None,
            unestimated="",
            audit=None,
            sizes=None,
            trusted=replace(spec.trusted, counted=None),
        ),
        data_root or environment_root(),
    )


@lru_cache(maxsize=4)
def _load_split(spec: DataSpec, data_root: str | None) -> SplitData:
    """``spec`` always with the same noise and scaling, so that populations which differ in these share the images."""
    whole = load_whole(spec, data_root)
    is_trusted = None if whole.trusted is None else whole.trusted.numpy()
    n_trusted = 0 if whole.counted is None else whole.counted.n_validation
    chosen = split(spec, whole.train_labels.numpy(), len(whole.test_labels), is_trusted, n_trusted)
    if (spec.trusted.refit and n_trusted) or (spec.refit and not chosen.validation_from_test):
        chosen = replace(chosen, train=np.sort(np.concatenate([chosen.train, chosen.validation])))
    train, test = (whole.train_images, whole.train_labels), (whole.test_images, whole.test_labels)
    return SplitData(
        whole.n_classes,
        whole.max_value,
        _part(*train, chosen.train),
        _part(*(test if chosen.validation_from_test else train), chosen.validation),
        _part(*test, chosen.test),
        torch.from_numpy(chosen.train),
        torch.from_numpy(chosen.validation),
        _part(*train, chosen.clean) if len(chosen.clean) else None,
        _part(*train, chosen.beside) if len(chosen.beside) else None,
        whole.encoder,
        whole.class_names,
        None if whole.trusted is None else whole.trusted[torch.from_numpy(chosen.train)],
        whole.counted,
        _ids(whole.train_ids, chosen.train),
        _ids(whole.test_ids if chosen.validation_from_test else whole.train_ids, chosen.validation),
        _ids(whole.test_ids, chosen.test),
    )


def _ids(ids: NDArray[Any] | None, index: NDArray[np.int64]) -> NDArray[Any] | None:
    return None if ids is None else ids[index]


def load_whole(spec: DataSpec, data_root: str | None) -> Dataset:
    """The whole data set, unsplit; kept in the process."""
    _forget_changed(spec, data_root)
    asked = replace(spec.trusted, counted=None, refit=False, fold=None)
    only = DataSpec(
        name=spec.name,
        params=spec.params,
        csv=spec.csv,
        trusted=asked,
        registered=spec.registered,
        fingerprint=spec.fingerprint,
    )
    return _load(only, data_root)


_looks = Looks()
"""At the files of one's own behind what is kept."""


def _forget_changed(spec: DataSpec, data_root: str | None) -> None:
    """Nothing is kept of files that somebody has changed since they were read."""
    part = DATASETS.find(spec.name, "data.name")
    if part.labels != "given" or data_root is None:
        return
    key = repr((spec.name, spec.params, spec.csv, spec.trusted.path)), data_root
    if _looks.saw_change(key, lambda: state_of(part, spec, data_root)):
        for kept in (_load, _load_split, noisy_labels, noisy_validation_labels):
            kept.cache_clear()


@lru_cache(maxsize=2)
def _load(spec: DataSpec, data_root: str | None) -> Dataset:
    """``spec`` always with the same noise and split, so that jobs which differ in these share the data set."""
    part = DATASETS.find(spec.name, "data.name").stored(spec.params)
    if spec.fingerprint is not None:
        require_unchanged(part, spec, data_root)
    return checked(part.required(part.read(spec, data_root)))


def checked(data: Dataset) -> Dataset:
    """``data``. Raises DataError for labels outside 0..C-1, and samples that do not fit their labels or each other."""
    parts = {"training": (data.train_images, data.train_labels), "test": (data.test_images, data.test_labels)}
    shape = data.train_images.shape[1:]
    for part, (images, labels) in parts.items():
        at = f"{part} set of {data.name}"
        if not len(images) == len(labels) > 0:
            raise DataError(f"{at}: {len(images)} samples, but {len(labels)} labels")
        if images.shape[1:] != shape:
            raise DataError(f"{at}: samples of shape {tuple(images.shape[1:])}, training samples {tuple(shape)}")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= data.n_classes:
            raise DataError(f"{at}: labels {low}..{high}, allowed 0..{data.n_classes - 1}")
    return data


@lru_cache(maxsize=64)
def noisy_labels(spec: DataSpec, noise_seed: int, data_root: str | None = None) -> torch.Tensor:
    """The training labels [S] a trial sees: those that came, through the noise drawn from ``noise_seed``."""
    data = load_split(spec, data_root)
    if spec.noise.kind == "human":
        return _human_labels(spec, data_root or environment_root())[data.train_rows]
    if spec.noise.kind == "open_set":
        return data.train.labels
    if NOISE[spec.noise.kind].by_features:
        return _by_features(spec, data, data.train, noise_seed, noise_seed)
    return torch.from_numpy(draw(spec, data.train.labels.numpy(), data.n_classes, noise_seed))


@lru_cache(maxsize=64)
def noisy_validation_labels(spec: DataSpec, noise_seed: int, data_root: str | None = None) -> torch.Tensor:
    """The validation labels [V] through the noise of the training labels, drawn from a seed of their own."""
    data = load_split(spec, data_root)
    if spec.noise.kind == "human":
        return _human_labels(spec, data_root or environment_root())[data.validation_rows]
    own_seed = derive_seed(noise_seed, "validation")
    if NOISE[spec.noise.kind].by_features:
        return _by_features(spec, data, data.validation, noise_seed, own_seed)
    return torch.from_numpy(draw(spec, data.validation.labels.numpy(), data.n_classes, own_seed))


def _by_features(spec: DataSpec, data: SplitData, part: Part, noise_seed: int, draw_seed: int) -> torch.Tensor:
    """The labels of a part through noise that depends on its samples, a function of those that train."""
    learned, rows = (
        Rows(
            (in_memory(one.images, f"noise {spec.noise.kind}").flatten(1).float() / data.max_value).numpy(),
            one.labels.numpy(),
        )
        for one in (data.train, part)
    )
    noise, kind = spec.noise, noise_of(spec)
    drawn = kind.load()(
        learned, rows, data.n_classes, noise.noise_rate, noise_seed, draw_seed, noise.margin_type, **kind.settings()
    )
    return torch.from_numpy(drawn)


def _human_labels(spec: DataSpec, data_root: str | None) -> torch.Tensor:
    """The labels people gave to the whole official training set."""
    whole = load_whole(spec, data_root)
    assert data_root is not None  # the data set itself was read from it
    clean_S = whole.train_labels.numpy()
    return torch.from_numpy(human_labels(spec.name, spec.noise.human_labels, clean_S, whole.n_classes, data_root))


def _part(images: Samples, labels: torch.Tensor, index: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Part:
    chosen = torch.from_numpy(index)
    return Part(images[chosen], labels[chosen])
