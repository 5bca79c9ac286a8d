"""Transition matrices of label noise (methods reference d), in numpy alone: the API's door computes them too.

Axis convention: ``T_CC[i, j]`` is the probability that a sample of class i carries label j, so rows sum to 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from s2e.data.limits import FACTS, HUMAN_NOISE_RATES
from s2e.words import MATRIX_KINDS, DataSpec, NoiseSpec, Problem, SpecError

Matrix = NDArray[np.float64]

CIFAR10_MAP = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}
"""truck -> automobile, bird -> airplane, cat <-> dog, deer -> horse (Patrini et al. 2017)."""
MNIST_MAP = {7: 1, 2: 7, 3: 8, 5: 6, 6: 5}
"""7 -> 1, 2 -> 7, 3 -> 8, 5 <-> 6 (Patrini et al. 2017)."""
CIFAR100_BLOCKS = {i: i - i % 5 + (i + 1) % 5 for i in range(100)}
"""The next of five consecutive fine labels, cyclic. Fine labels are alphabetical, so the blocks are no superclasses;
the published figures (Patrini, SCE, ELR) were made with them all the same."""
CIFAR100_SUPERCLASS = (
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10,
    12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12, 12, 16,
    12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14,
    13,
)  # fmt: skip
"""Superclass of each fine label of CIFAR-100."""


def symmetric(n_classes: int, noise_rate: float) -> Matrix:
    """Symmetric exclusive noise: a replaced label is uniform over the *other* classes, T_ij = tau / (C - 1)."""
    T_CC = np.full((n_classes, n_classes), noise_rate / (n_classes - 1))
    np.fill_diagonal(T_CC, 1 - noise_rate)
    return T_CC


def symmetric_inclusive(n_classes: int, noise_rate: float) -> Matrix:
    """Symmetric inclusive noise: a re-drawn label is uniform over *all* classes, so tau (1 - 1/C) are wrong (ELR)."""
    return (1 - noise_rate) * np.eye(n_classes) + noise_rate / n_classes


def pair(n_classes: int, noise_rate: float) -> Matrix:
    """Pair flip: a replaced label becomes the next class, T_{i, (i+1) mod C} = tau."""
    return mapped(n_classes, noise_rate, {i: (i + 1) % n_classes for i in range(n_classes)})


def mapped(n_classes: int, noise_rate: float, confused: Mapping[int, int]) -> Matrix:
    """Class i becomes ``confused[i]`` with probability tau; classes without an entry stay clean."""
    T_CC = np.eye(n_classes)
    for i, j in confused.items():
        T_CC[i, i] = 1 - noise_rate
        T_CC[i, j] = noise_rate
    return T_CC


def cifar100_superclasses() -> dict[int, int]:
    """The next fine label of the same superclass, cyclic in the order of the fine labels."""
    members = [[i for i in range(100) if CIFAR100_SUPERCLASS[i] == s] for s in range(20)]
    return {fine[n]: fine[(n + 1) % len(fine)] for fine in members for n in range(len(fine))}


def asymmetric_map(dataset: str, true_superclass: bool = False) -> dict[int, int]:
    """Which class is confused with which. Raises SpecError for a data set without a published map."""
    maps = {"mnist": MNIST_MAP, "cifar10": CIFAR10_MAP, "cifar100": CIFAR100_BLOCKS}
    if dataset not in maps:
        raise SpecError(Problem("data.noise.kind", "asymmetric", f"only for {', '.join(maps)}, not for {dataset}"))
    return cifar100_superclasses() if true_superclass and dataset == "cifar100" else maps[dataset]


def matrix(noise: NoiseSpec, n_classes: int, dataset: str) -> Matrix:
    """The matrix T [C, C] of injected noise. Raises SpecError for a given one that is not stochastic, or not C x C,
    and for noise that is not made from a matrix."""
    tau = noise.noise_rate
    if noise.kind == "none":
        return np.eye(n_classes)
    if noise.kind == "asymmetric":
        return mapped(n_classes, tau, asymmetric_map(dataset, noise.true_superclass))
    if noise.kind == "matrix":
        if problems := matrix_problems(noise.matrix, n_classes):
            raise SpecError(*problems)
        T_CC = np.array(noise.matrix, dtype=np.float64)
        T_CC /= T_CC.sum(axis=1, keepdims=True)  # rows are accepted within rounding
        return T_CC
    made = {"symmetric": symmetric, "symmetric_inclusive": symmetric_inclusive, "pair": pair}
    if noise.kind not in made:
        raise SpecError(Problem("data.noise.kind", noise.kind, f"one of {', '.join(MATRIX_KINDS)}: these have a T"))
    return made[noise.kind](n_classes, tau)


def true_transition(data: DataSpec, n_classes: int) -> Matrix | None:
    """The matrix of the injected noise; None where it is not known but must be estimated."""
    return matrix(data.noise, n_classes, data.name) if data.noise.kind in MATRIX_KINDS else None


def injected_noise_rate(data: DataSpec) -> float:
    """Expected share of wrong labels, classes equally frequent: the tau of eq. (1) where a job names none.

    Of a set whose classes are not known beforehand ``symmetric_inclusive`` counts the labels that are re-drawn.
    """
    noise = data.noise
    if noise.kind == "human":
        return HUMAN_NOISE_RATES[data.name][noise.human_labels]
    if noise.kind in ("none", "symmetric", "pair", "open_set") or (noise.kind != "matrix" and data.name not in FACTS):
        return 0.0 if noise.kind == "none" else noise.noise_rate
    n_classes = len(noise.matrix or ()) if noise.kind == "matrix" else FACTS[data.name].n_classes
    return float(1 - np.diag(matrix(noise, n_classes, data.name)).mean())


def matrix_problems(rows: tuple[tuple[float, ...], ...] | None, n_classes: int | None) -> list[Problem]:
    """Why ``rows`` is not a transition matrix: missing, not C x C, or a row that does not sum to 1."""
    field = "data.noise.matrix"
    if rows is None:
        return [Problem(field, None, "required for kind matrix: one row of C probabilities for each class")]
    size = len(rows) if n_classes is None else n_classes
    lengths = sorted({len(row) for row in rows})
    if len(rows) != size or lengths != [size] or size < 2:
        wanted = "square" if n_classes is None else f"{size} x {size}, the number of classes"
        return [Problem(field, f"{len(rows)} rows of {lengths} numbers", wanted)]
    sums = [sum(row) for row in rows]
    return [
        Problem(f"{field}[{i}]", f"sums to {total:.6g}", "a row sums to 1")
        for i, total in enumerate(sums)
        if abs(total - 1) > 1e-6
    ]
