"""Label noise: one class-by-class matrix and one draw from its own generator.

Axis convention: ``T_CC[i, j]`` is the probability that a sample of clean class i carries label j, so rows sum to 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s2e.spec import NoiseSpec, derive_seed

Labels = NDArray[np.int64]
Matrix = NDArray[np.float64]


def symmetric(n_classes: int, noise_rate: float) -> Matrix:
    """Symmetric exclusive noise: a replaced label is uniform over the *other* classes, T_ij = tau / (C - 1)."""
    T_CC = np.full((n_classes, n_classes), noise_rate / (n_classes - 1))
    np.fill_diagonal(T_CC, 1 - noise_rate)
    return T_CC


def pair(n_classes: int, noise_rate: float) -> Matrix:
    """Pair flip: a replaced label becomes the next class, T_{i, (i+1) mod C} = tau."""
    return (1 - noise_rate) * np.eye(n_classes) + noise_rate * np.roll(np.eye(n_classes), 1, axis=1)


def matrix(noise: NoiseSpec, n_classes: int) -> Matrix:
    """The transition matrix a job asks for."""
    if noise.kind == "none":
        return np.eye(n_classes)
    return {"symmetric": symmetric, "pair": pair}[noise.kind](n_classes, noise.noise_rate)


def corrupt(label_S: Labels, T_CC: Matrix, seed: int) -> Labels:
    """Noisy labels: each drawn from its class's row by inversion, independent of every training seed."""
    uniform_S = np.random.default_rng(derive_seed(seed, "label noise")).random(len(label_S))
    upper_CC = np.cumsum(T_CC, axis=1)
    upper_CC[:, -1] = 1.0  # a row's sum may round below 1, and u lies in [0, 1)
    return np.asarray((uniform_S[:, None] >= upper_CC[label_S]).sum(axis=1), dtype=np.int64)
