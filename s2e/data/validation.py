"""Validation without clean labels: how far accuracy on noisy labels can be trusted, and corrected. Imports no torch."""

from __future__ import annotations

import math

import numpy as np

from s2e.data.transition import MAX_CONDITION, Matrix, true_transition
from s2e.parts import DATASETS
from s2e.words import DataSpec, Problem, SpecError

CONFUSED = 0.5
"""A wrong label this frequent, relative to the right one, lets uncorrected accuracy prefer the worse of two networks:
one that errs towards it on a share e of a class beats one that errs elsewhere on a share (1 - CONFUSED) e."""
WIDE = 0.02
"""A standard error of the corrected accuracy from which a warning is due: two points."""


def scores(T_CC: Matrix) -> Matrix:
    """The worth of a prediction [label, predicted class]: T^-1, whose mean over the samples is an unbiased estimate of
    clean accuracy.

    With J[c, p] the frequency of class c and prediction p, noisy labels show T^T J; clean accuracy is the trace of
    J = T^-T (T^T J), so a sample labelled j and predicted p counts T^-1[j, p]. Raises SpecError where T is singular.
    """
    condition = float(np.linalg.cond(T_CC))
    if not condition <= MAX_CONDITION:
        allowed = "noise whose transition matrix has an inverse, or validation_labels = noisy"
        raise SpecError(Problem("data.validation_labels", f"condition number {condition:.3g}", allowed))
    return np.asarray(np.linalg.inv(T_CC))


def standard_error(T_CC: Matrix, n_samples: int) -> float:
    """Standard error of the corrected accuracy of a perfect network, classes equally frequent: noise that the
    correction adds. (Its score is T^-1[j, c] with probability T[c, j], and 1 on average.)"""
    variance = float((T_CC * scores(T_CC).T ** 2).sum(axis=1).mean()) - 1
    return math.sqrt(max(variance, 0.0) / n_samples)


def validation_warning(data: DataSpec) -> str:
    """A warning where noisy validation labels may rank schedules otherwise than clean ones would; empty elsewhere."""
    if (
        data.validation_labels == "clean"
        or data.trusted_rows.n_validation
        or (data.truth_is_known and data.noise.kind == "none")
    ):
        return ""
    T_CC = known_transition(data)
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
    n_validation = n_validation_of(data)
    error = 0.0 if n_validation is None else standard_error(T_CC, n_validation)
    if error < WIDE:
        return ""
    return (
        f"Validation accuracy is corrected for label noise, which leaves it a standard error of up to "
        f"{100 * error:.1f} points: smaller differences between schedules cannot be told."
    )


def n_validation_of(data: DataSpec) -> int | None:
    """Samples that validate: those taken from the training set, or half of the official test set; None where only
    reading the data tells."""
    if data.split != "s2e":
        return data.n_validation
    n_test = DATASETS[data.name].n_test
    return None if n_test is None else n_test // 2


def known_transition(data: DataSpec) -> Matrix | None:
    """T where it can be known before the data set is read: of a table only if the job gives it, or it was estimated."""
    if not data.truth_is_known:
        return None if data.estimate is None else true_transition(data, len(data.estimate.transition))
    if data.noise.kind == "matrix" and data.noise.matrix is not None:
        return true_transition(data, len(data.noise.matrix))
    n_classes = DATASETS[data.name].n_classes
    return None if n_classes is None else true_transition(data, n_classes)


def _is_symmetric(T_CC: Matrix) -> bool:
    """One number on the diagonal and one beside it: accuracy on labels then rises with the true one."""
    off = T_CC[~np.eye(len(T_CC), dtype=bool)]
    return bool(np.ptp(off) < 1e-9 and np.ptp(np.diag(T_CC)) < 1e-9 and T_CC[0, 0] > off[0])
