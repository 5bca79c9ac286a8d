"""The record of a noise draw: its matrix, the flipped samples, and the share that is really wrong."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from s2e.data.datasets import load_split, noisy_labels
from s2e.data.open_set import OWN, foreign_rows
from s2e.data.transition import true_transition
from s2e.words import DataSpec


@dataclass(frozen=True)
class NoiseRecord:
    """One noise draw. Samples are numbered as in the official training set, whatever the split took of it."""

    kind: str
    noise_seed: int
    n_samples: int
    n_flipped: int
    realised_noise_rate: float
    transition: tuple[tuple[float, ...], ...] | None
    """T of the injected noise, T[i][j] = P(label j | class i); None where noise is not made from one."""
    counts: tuple[tuple[int, ...], ...]
    """Samples of class i that carry label j."""
    flipped: tuple[int, ...]
    clean_labels: tuple[int, ...]
    """Of the flipped samples."""
    given_labels: tuple[int, ...]
    """Of the flipped samples."""
    replaced: tuple[int, ...]
    """Samples whose image comes from another set (open-set noise)."""
    labels_sha256: str
    """Of all training labels as little-endian int64, in the order of the split."""


def noise_record(data: DataSpec, noise_seed: int, data_root: str | None = None) -> NoiseRecord:
    """The record of the training labels that ``noise_seed`` draws. Raises DataError as loading the data does."""
    split = load_split(data, data_root)
    clean_S, given_S = split.train.labels.numpy(), noisy_labels(data, noise_seed, data_root).numpy()
    rows_S = split.train_rows.numpy()
    flipped, replaced = np.flatnonzero(clean_S != given_S), np.arange(0)
    if data.noise.kind == "open_set":
        replaced = np.flatnonzero(foreign_rows(data, len(clean_S), noise_seed, data_root).numpy() != OWN)
    n_classes = split.n_classes
    T_CC = true_transition(data, n_classes)
    counts_CC = np.bincount(clean_S * n_classes + given_S, minlength=n_classes**2).reshape(n_classes, n_classes)
    return NoiseRecord(
        kind=data.noise.kind,
        noise_seed=noise_seed,
        n_samples=len(clean_S),
        n_flipped=len(flipped),
        realised_noise_rate=(len(flipped) + len(replaced)) / len(clean_S),
        transition=None if T_CC is None else tuple(map(tuple, T_CC.tolist())),
        counts=tuple(map(tuple, counts_CC.tolist())),
        flipped=tuple(rows_S[flipped].tolist()),
        clean_labels=tuple(clean_S[flipped].tolist()),
        given_labels=tuple(given_S[flipped].tolist()),
        replaced=tuple(rows_S[replaced].tolist()),
        labels_sha256=hashlib.sha256(given_S.astype("<i8").tobytes()).hexdigest(),
    )
