"""Transition matrices of label noise, in numpy alone: the API's door computes them too.

Axis convention: ``T_CC[i, j]`` is the probability that a sample of class i carries label j, so rows sum to 1. Which
kind of noise (:data:`s2e.parts.NOISE`) has which matrix is declared with the kind.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from s2e.parts import NOISE, noise_of
from s2e.words import DataError, DataSpec, EstimatedNoise, Problem, SpecError

Matrix = NDArray[np.float64]
Rows = tuple[tuple[float, ...], ...]
MAX_CONDITION = 1e6
"""Condition number from which T counts as singular: float32 losses have seven digits to lose."""


def identity(n_classes: int) -> Matrix:
    """No noise."""
    return np.eye(n_classes)


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


def one_after_another(n_classes: int, noise_rate: float, confused: Mapping[int, int]) -> Matrix:
    """The confusions as ELR's program makes them: of all that are labelled i by then, for i = 0, 1, ..., the share tau
    becomes ``confused[i]``; the product of one :func:`mapped` for each class."""
    T_CC = np.eye(n_classes)
    for i in sorted(confused):
        T_CC = T_CC @ mapped(n_classes, noise_rate, {i: confused[i]})
    return T_CC


def normalised(rows: Rows | None, n_classes: int) -> Matrix:
    """A given matrix; rows are accepted within rounding. Raises SpecError where it is not stochastic, or not C x C."""
    if problems := matrix_problems(rows, n_classes):
        raise SpecError(*problems)
    T_CC = np.array(rows, dtype=np.float64)
    T_CC /= T_CC.sum(axis=1, keepdims=True)
    return T_CC


def matrix(data: DataSpec, n_classes: int) -> Matrix:
    """The matrix T [C, C] of injected noise. Raises SpecError for noise that is not made from a matrix."""
    T_CC = true_transition(data, n_classes)
    if T_CC is None:
        made = ", ".join(name for name, part in NOISE.items() if part.has_matrix)
        raise SpecError(Problem("data.noise.kind", data.noise.kind, f"one of {made}: these have a T"))
    return T_CC


def true_transition(data: DataSpec, n_classes: int) -> Matrix | None:
    """The matrix of the noise: the injected one, or the estimated one of given labels; None if it is not known.

    Raises DataError for an estimate of another number of classes: the data are not those it was made for.
    """
    if not data.truth_is_known:
        return None if data.estimate is None else _estimated(data.estimate, n_classes)
    noise = noise_of(data)
    return np.asarray(noise.transition(data, n_classes)) if noise.has_matrix else None


def _estimated(estimate: EstimatedNoise, n_classes: int) -> Matrix:
    if len(estimate.transition) != n_classes:
        raise DataError(f"{n_classes} classes, but the noise of {len(estimate.transition)} was estimated")
    return normalised(estimate.transition, n_classes)


def noise_rate(data: DataSpec) -> float:
    """Expected share of wrong labels: of injected noise with classes equally frequent, of given labels as estimated.

    The tau of eq. (1) where a job names none. Raises DataError where nothing is estimated yet.
    """
    if not data.truth_is_known:
        if data.estimate is None:
            raise DataError("the noise rate of labels that are given is not known before it is estimated")
        return data.estimate.noise_rate
    return noise_of(data).rate(data)


def singular_problems(T_CC: Matrix) -> list[Problem]:
    """A problem if a matrix, or one of a stack of them, has no usable inverse."""
    condition = float(np.max(np.linalg.cond(T_CC)))
    if condition <= MAX_CONDITION:
        return []
    allowed = "noise whose transition matrix has an inverse (symmetric noise of rate 1 - 1/C has none)"
    return [Problem("data.noise", f"condition number {condition:.3g}", allowed)]


def matrix_problems(rows: Rows | None, n_classes: int | None) -> list[Problem]:
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
