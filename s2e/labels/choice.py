"""Choosing a method without a clean label: by how likely its predictions make noisy validation labels, under T.

Accuracy against noisy labels prefers networks that repeat the noise: with pair noise near one half it can lose more
than 20 points. Under the matrix the best predictions are those of the true class. Numpy alone.

Legend: V validation samples, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from s2e.labels.em import EXPONENTS, Array, Labels, log_likelihood, tempered

SMALLEST_CHANCE = 1e-4
"""No T_ij counts as less: one label that T rules out must not decide."""
SMALLEST = 1e-12
N_GRID = 25


@dataclass(frozen=True, eq=False)
class Score:
    """Noisy labels on some predictions, once their confidence is calibrated."""

    log_likelihood: float
    """max over a of mean_v ln sum_i q_vi(a) T[i, y_v],   q(a) ~ p^a."""
    exponent: float
    """That a: below 1 where predictions are too sure."""
    joint_VC: Array
    """P(true class, given label) of each sample at that a: q_vi(a) T[i, y_v]."""


def noisy_score(p_VC: Array, label_V: Labels, T_CC: Array) -> Score:
    """The score of predictions [V, C] of the true class, for labels [V] that went through T.

    Raises ValueError where shapes do not fit each other.
    """
    n_classes = len(T_CC)
    if T_CC.shape != (n_classes, n_classes) or p_VC.shape != (len(label_V), n_classes):
        raise ValueError(f"predictions {p_VC.shape}, labels {label_V.shape}, T {T_CC.shape}: not [V, C], [V], [C, C]")
    T_CC = np.maximum(T_CC, SMALLEST_CHANCE)
    T_CC = T_CC / T_CC.sum(1, keepdims=True)
    log_p_VC = np.log(np.clip(p_VC, SMALLEST, 1))

    def loss(log_a: float) -> float:
        return -log_likelihood(tempered(log_p_VC, float(np.exp(log_a))), T_CC, label_V)

    from scipy.optimize import minimize_scalar  # takes half a second to import, in every process that trains

    # The likelihood may have several maxima in a: the best point of a grid, then its surroundings.
    lowest, highest = np.log(EXPONENTS)
    grid = np.linspace(lowest, highest, N_GRID)
    losses = [loss(log_a) for log_a in grid]
    best = int(np.argmin(losses))
    around = grid[max(best - 1, 0)], grid[min(best + 1, N_GRID - 1)]
    refined = minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-3})
    log_a = float(refined.x) if refined.fun < losses[best] else float(grid[best])
    exponent = float(np.exp(log_a))
    joint_VC = tempered(log_p_VC, exponent) * T_CC.T[label_V]
    return Score(-min(float(refined.fun), losses[best]), exponent, joint_VC)
