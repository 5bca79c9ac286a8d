"""The draw of noisy labels, from a generator of its own. Matrices: :mod:`s2e.data.transition`."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import numpy as np
from numpy.typing import NDArray

from s2e.data.splits import apportion
from s2e.data.transition import Matrix, matrix
from s2e.parts import DATASETS
from s2e.words import DataSpec, derive_seed

Labels = NDArray[np.int64]


def draw(data: DataSpec, label_S: Labels, n_classes: int, seed: int) -> Labels:
    """The labels [S] that noise made from a matrix turns ``label_S`` into. Raises SpecError for human labels."""
    if data.noise.kind == "none":
        return label_S
    T_CC = matrix(data, n_classes)
    if data.noise.kind == "symmetric_inclusive":
        return redraw(label_S, n_classes, data.noise.noise_rate, seed)
    if data.noise.kind == "asymmetric_elr":
        return one_after_another(label_S, data.noise.noise_rate, DATASETS[data.name].confused or {}, seed)
    return corrupt_exactly(label_S, T_CC, seed) if data.noise.exact_counts else corrupt(label_S, T_CC, seed)


def corrupt(label_S: Labels, T_CC: Matrix, seed: int) -> Labels:
    """Noisy labels: each drawn from its class's row by inversion, independent of every training seed."""
    uniform_S = np.random.default_rng(derive_seed(seed, "label noise")).random(len(label_S))
    upper_CC = np.cumsum(T_CC, axis=1)
    upper_CC[:, -1] = 1.0  # a row's sum may round below 1, and u lies in [0, 1)
    return np.asarray((uniform_S[:, None] >= upper_CC[label_S]).sum(axis=1), dtype=np.int64)


def corrupt_exactly(label_S: Labels, T_CC: Matrix, seed: int) -> Labels:
    """Noisy labels whose numbers are the expected ones in every class (largest remainders); who gets which is drawn."""
    rng = np.random.default_rng(derive_seed(seed, "label noise, exact counts"))
    noisy_S = label_S.copy()
    for c, row_C in enumerate(T_CC):
        members = rng.permutation(np.flatnonzero(label_S == c))
        noisy_S[members] = np.repeat(np.arange(len(row_C)), apportion(row_C, len(members)))
    return noisy_S


def one_after_another(label_S: Labels, noise_rate: float, confused: Mapping[int, int], seed: int) -> Labels:
    """Noisy labels as ELR's program makes them: for i = 0, 1, ... the first ceil(tau n) of the n labelled i by then, in
    random order, become ``confused[i]``."""
    rng = np.random.default_rng(derive_seed(seed, "label noise, one after another"))
    noisy_S = label_S.copy()
    for i in sorted(confused):
        members = rng.permutation(np.flatnonzero(noisy_S == i))
        noisy_S[members[: ceil(noise_rate * len(members))]] = confused[i]
    return noisy_S


def redraw(label_S: Labels, n_classes: int, noise_rate: float, seed: int) -> Labels:
    """Symmetric inclusive noise: exactly round(tau S) labels are drawn anew, uniform over all classes (ELR's code)."""
    rng = np.random.default_rng(derive_seed(seed, "label noise, inclusive"))
    redrawn = rng.permutation(len(label_S))[: round(noise_rate * len(label_S))]
    noisy_S = label_S.copy()
    noisy_S[redrawn] = rng.integers(n_classes, size=len(redrawn))
    return noisy_S
