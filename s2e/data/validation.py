"""Validation without clean labels: how far accuracy on noisy labels can be trusted, and corrected. Imports no torch."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from s2e.data.limits import FACTS
from s2e.data.transition import Matrix, true_transition
from s2e.words import MATRIX_KINDS, DataSpec, Problem, SpecError

MAX_CONDITION = 1e6
"""Condition number from which T counts as singular."""
CONFUSED = 0.5
"""A wrong label this frequent, relative to the right one, lets uncorrected accuracy prefer the worse of two networks:
one that errs towards it on a share e of a class beats one that errs elsewhere on a share (1 - CONFUSED) e."""
WIDE = 0.02
"""A standard error of the corrected accuracy from which a warning is due: two points."""


def scores(T_CC: Matrix) -> Matrix:
    """What a prediction is worth [label, predicted class]: T^-1, whose mean over the samples is an unbiased estimate of
    clean accuracy.

    With J[c, p] the frequency of class c and prediction p, noisy labels show T^T J; clean accuracy is the trace of
    J = T^-T (T^T J), so a sample labelled j and predicted p counts T^-1[j, p]. Raises SpecError where T is singular.
    """
    condition = float(np.linalg.cond(T_CC))
    if not condition <= MAX_CONDITION:
        allowed = "noise whose transition matrix has an inverse, or validation_labels = noisy"
        raise SpecError(Problem("data.validation_labels", f"condition number {condition:.3g}", allowed))
    return np.asarray(np.linalg.inv(T_CC))


def corrected_accuracy(predicted_S: NDArray[np.int64], noisy_label_S: NDArray[np.int64], T_CC: Matrix) -> float:
    """Estimate of the accuracy on clean labels from noisy ones; not clipped, so that it stays unbiased."""
    return float(scores(T_CC)[noisy_label_S, predicted_S].mean())


def standard_error(T_CC: Matrix, n_samples: int) -> float:
    """Standard error of the corrected accuracy of a perfect network, classes equally frequent: noise that the
    correction adds. (Its score is T^-1[j, c] with probability T[c, j], and 1 on average.)"""
    variance = float((T_CC * scores(T_CC).T ** 2).sum(axis=1).mean()) - 1
    return math.sqrt(max(variance, 0.0) / n_samples)


def validation_problems(data: DataSpec) -> list[Problem]:
    """Noisy validation labels that do not exist, or a correction without a matrix or without its inverse."""
    field, asked, kind = "data.validation_labels", data.validation_labels, data.noise.kind
    if asked == "clean":
        return []
    if kind == "open_set":
        return [Problem(field, asked, "clean: open-set noise keeps all labels")]
    if kind == "human" and data.split == "s2e":
        return [Problem(field, asked, "clean: people labelled the training samples, and split s2e validates on others")]
    if asked == "noisy_corrected" and kind not in MATRIX_KINDS:
        return [Problem(field, asked, f"clean or noisy: the matrix of {kind} noise is not known")]
    T_CC = _known_transition(data)
    if asked == "noisy_corrected" and T_CC is not None:
        try:
            scores(T_CC)
        except SpecError as error:
            return list(error.problems)
    return []


def validation_warning(data: DataSpec) -> str:
    """Where noisy validation labels may not rank schedules as clean ones would: what is at stake, or nothing."""
    if data.validation_labels == "clean" or data.noise.kind == "none":
        return ""
    T_CC = _known_transition(data)
    if T_CC is None:
        return "Validation labels are noisy and their matrix is not known: they may rank schedules wrongly."
    if data.validation_labels == "noisy":
        confused = (T_CC - np.diag(np.diag(T_CC))).max(axis=1) / np.maximum(np.diag(T_CC), 1e-12)
        if _is_symmetric(T_CC) or confused.max() < CONFUSED:
            return ""
        return (
            f"Validation labels are noisy, and for some class a wrong label is {confused.max():.2f} times as frequent "
            "as the right one: their accuracy may prefer a network that repeats the noise."
        )
    error = standard_error(T_CC, n_validation(data))
    if error < WIDE:
        return ""
    return (
        f"Validation accuracy is corrected for label noise, which leaves it a standard error of up to "
        f"{100 * error:.1f} points: smaller differences between schedules cannot be told."
    )


def n_validation(data: DataSpec) -> int:
    """Samples that validate: those taken from the training set, or half of the official test set."""
    if data.split == "s2e" and data.name in FACTS:
        return FACTS[data.name].n_test // 2
    return data.n_validation


def _known_transition(data: DataSpec) -> Matrix | None:
    """T where it can be known before the data set is read: of a table only if the job gives it."""
    if data.noise.kind == "matrix" and data.noise.matrix is not None:
        return true_transition(data, len(data.noise.matrix))
    return true_transition(data, FACTS[data.name].n_classes) if data.name in FACTS else None


def _is_symmetric(T_CC: Matrix) -> bool:
    """One number on the diagonal and one beside it: accuracy on labels then rises with the true one."""
    off = T_CC[~np.eye(len(T_CC), dtype=bool)]
    return bool(np.ptp(off) < 1e-9 and np.ptp(np.diag(T_CC)) < 1e-9 and T_CC[0, 0] > off[0])
