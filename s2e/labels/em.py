"""The transition matrix by maximum likelihood of the given labels, under held-out predictions of the true class.

    P(label y | x_s) = sum_i q_si T[i, y],   q_si = p_si^a / sum_c p_sc^a

``p_SC`` are a network's probabilities of the *true* class of samples it did not train on: of a network that was trained
by a robust method, never by plain cross entropy, whose probabilities are those of the given labels. For a fixed
temperature exponent a the likelihood is concave in T, so EM finds its maximum from any start inside; a is moved uphill
between its steps. Numpy alone.

Legend: S samples, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

SMALLEST = 1e-12
"""Floor of probabilities: held-out float32 softmax underflows, and ln 0 would rule a class out for ever."""
EXPONENTS = (0.05, 20.0)
"""Range of the temperature exponent a: below, predictions say nothing; above, they are argmax."""
STEPS_PER_ROUND = 5
"""EM steps between two moves of a."""
FINE_STEP = 1.01
"""a is found when a move by this factor is too large."""


@dataclass(frozen=True, eq=False)
class TransitionFit:
    """T, the exponent a, and how well they explain the labels."""

    T_CC: Array
    exponent: float
    class_share_C: Array
    """Shares of the true classes: mean posterior of all samples. The label shares are ``class_share_C @ T_CC``."""
    log_likelihood: float
    """Mean over samples of ln P(given label)."""
    is_symmetric: bool = False
    """One number was fitted, not a matrix."""

    def posterior(self, p_SC: Array, label_S: Labels) -> Array:
        """P(true class | predictions, given label) -> [S, C]."""
        q_SC = tempered(np.log(np.clip(p_SC, SMALLEST, 1)), self.exponent)
        return responsibilities(q_SC, self.T_CC, label_S)

    def named(self, order_C: NDArray[np.int64]) -> TransitionFit:
        """The same fit with latent class ``order_C[i]`` called class i."""
        return replace(self, T_CC=self.T_CC[order_C], class_share_C=self.class_share_C[order_C])

    @property
    def noise_rate(self) -> float:
        """Share of labels that are wrong, 1 - sum_i pi_i T_ii: the mean posterior of it."""
        return float(1 - (self.class_share_C * np.diag(self.T_CC)).sum())


def fit_transition(
    p_SC: Array,
    label_S: Labels,
    start_CC: Array | None = None,
    *,
    symmetric: bool = False,
    exponent: float | None = None,
    start_exponent: float = 1.0,
    prior_rows: float = 0.0,
    max_rounds: int = 200,
    tolerance: float = 1e-7,
) -> TransitionFit:
    """The T, and the exponent a unless it is given, that make the labels [S] most likely.

    ``symmetric`` fits the one number of T = (1 - tau) 1 + tau / (C - 1) elsewhere. A class that no sample belongs to
    keeps its row of the start. ``start_CC`` is mixed with 5 % of the uniform matrix, for EM cannot leave a zero.
    ``prior_rows`` of every class count as labelled by the symmetric matrix of the same rate: few rows of a class fit a
    row of T to their own scatter.
    """
    n_classes = p_SC.shape[1]
    log_p_SC = np.log(np.clip(p_SC, SMALLEST, 1))
    T_CC = 0.75 * np.eye(n_classes) + 0.25 / n_classes if start_CC is None else start_CC
    T_CC = 0.95 * T_CC + 0.05 / n_classes
    a, step = exponent or start_exponent, 1.25
    q_SC = tempered(log_p_SC, a)
    value, rows = log_likelihood(q_SC, T_CC, label_S), _ByLabel.of(label_S, n_classes)
    for _ in range(max_rounds):
        before, sorted_q_SC = value, q_SC[rows.order_S]
        for _ in range(STEPS_PER_ROUND):
            T_CC = _em_step(sorted_q_SC, T_CC, rows, symmetric=symmetric, prior_rows=prior_rows)
        value = log_likelihood(q_SC, T_CC, label_S)
        if exponent is None:
            uphill = slope(log_p_SC, q_SC, T_CC, label_S) > 0
            tried = float(np.clip(a * step if uphill else a / step, *EXPONENTS))
            tried_q_SC = tempered(log_p_SC, tried)
            tried_value = log_likelihood(tried_q_SC, T_CC, label_S)
            if tried_value > value:
                a, q_SC, value, step = tried, tried_q_SC, tried_value, step**1.5
            else:
                step **= 0.5
        if value - before < tolerance and (exponent is not None or step < FINE_STEP):
            break
    share_C = responsibilities(q_SC, T_CC, label_S).mean(0)
    return TransitionFit(T_CC, a, share_C, value, symmetric)


def tempered(log_p_SC: Array, exponent: float) -> Array:
    """q ~ p^a, rows sum to 1."""
    scaled_SC = exponent * log_p_SC
    q_SC = np.exp(scaled_SC - scaled_SC.max(1, keepdims=True))
    return np.asarray(q_SC / q_SC.sum(1, keepdims=True))


def responsibilities(q_SC: Array, T_CC: Array, label_S: Labels) -> Array:
    """The posterior of the true class given the predictions and the given label, r_si ~ q_si T[i, y_s]."""
    joint_SC = q_SC * T_CC.T[label_S]
    return np.asarray(joint_SC / joint_SC.sum(1, keepdims=True))


def log_likelihood(q_SC: Array, T_CC: Array, label_S: Labels) -> float:
    """Mean over samples of ln sum_i q_si T[i, y_s]."""
    return float(np.log(np.einsum("sc,sc->s", q_SC, T_CC.T[label_S])).mean())


def em_step(q_SC: Array, T_CC: Array, label_S: Labels, *, symmetric: bool = False, prior_rows: float = 0.0) -> Array:
    """T[i, j] = sum of the posteriors of class i over the samples labelled j, over their sum over all samples."""
    rows = _ByLabel.of(label_S, len(T_CC))
    return _em_step(q_SC[rows.order_S], T_CC, rows, symmetric=symmetric, prior_rows=prior_rows)


@dataclass(frozen=True, eq=False)
class _ByLabel:
    """Samples in the order of their labels, so that those of a label are one slice: the step is taken some thousand
    times for one estimate."""

    order_S: Labels
    label_S: Labels
    """In that order."""
    slice_C: Sequence[tuple[int, int]]
    """Begin and end of each label's."""

    @classmethod
    def of(cls, label_S: Labels, n_classes: int) -> _ByLabel:
        order_S = np.argsort(label_S, kind="stable")
        sorted_S = label_S[order_S]
        return cls(order_S, sorted_S, list(pairwise(np.searchsorted(sorted_S, np.arange(n_classes + 1)).tolist())))


def _em_step(q_SC: Array, T_CC: Array, rows: _ByLabel, *, symmetric: bool, prior_rows: float) -> Array:
    """:func:`em_step` of samples in the order of their labels."""
    n_classes = len(T_CC)
    r_SC = responsibilities(q_SC, T_CC, rows.label_S)
    count_CC = np.empty((n_classes, n_classes))
    for j, (begin, end) in enumerate(rows.slice_C):
        count_CC[:, j] = np.add.reduce(r_SC[begin:end])
    if symmetric or prior_rows:
        alike_CC = _symmetric(float(1 - np.trace(count_CC) / count_CC.sum()), n_classes)
        if symmetric:
            return alike_CC
        count_CC += prior_rows * alike_CC
    total_C1 = count_CC.sum(1, keepdims=True)
    return np.where(total_C1 > SMALLEST, count_CC / np.maximum(total_C1, SMALLEST), T_CC)


def _symmetric(rate: float, n_classes: int) -> Array:
    T_CC = np.full((n_classes, n_classes), rate / (n_classes - 1))
    np.fill_diagonal(T_CC, 1 - rate)
    return T_CC


def slope(log_p_SC: Array, q_SC: Array, T_CC: Array, label_S: Labels) -> float:
    """d (mean log-likelihood) / da = mean_s sum_i (r_si - q_si) ln p_si."""
    r_SC = responsibilities(q_SC, T_CC, label_S)
    return float(((r_SC - q_SC) * log_p_SC).sum(1).mean())
