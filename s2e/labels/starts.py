"""Starts of the alternating estimate of T: two first guesses from networks that were trained on the labels as given.

Such networks predict the *given* label, so rows of one class share one prediction, that class's row of T, however wrong
their labels are. Confident learning looks at the most probable label only and goes wrong where it is rarely the true
one (pair noise near one half); clustering whole predictions finds the rows there, and goes wrong where classes are hard
to tell apart. Which of the two was the better start shows later, in the likelihood.

Legend: S samples, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from s2e.data.estimate import class_shares, confident_transition

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

SHARPNESS = 20.0
"""Number of labels that a prediction counts for when it is compared with a cluster's."""
SMALLEST = 1e-4
N_ITERATIONS = 100
N_RESTARTS = 10
TOLERANCE = 1e-5
MARGIN = 1.1
"""A label is this much likelier of its own class than of any other, in training."""
LARGEST = 0.9
"""... as far as a probability can be, beside an other class that always carries it."""


def first_guesses(p_SC: Array, label_S: Labels) -> dict[str, Array]:
    """A start for T by confident learning and one by clusters, from held-out predictions of the given labels."""
    confident_CC = confident_transition(p_SC, label_S)
    guesses = {
        "confident": confident_CC,
        "clusters": _mended(*clusters(p_SC, label_S), confident_CC, label_S),
    }
    return {name: 0.98 * T_CC + 0.02 * np.eye(len(T_CC)) for name, T_CC in guesses.items()}


def clusters(p_SC: Array, label_S: Labels) -> tuple[Array, Array]:
    """T and the shares of the classes, from soft clusters of the predictions: EM for a mixture of C kinds of rows,

        r_si ~ pi_i exp(-n KL(p_s || t_i)),   t_i = mean of p_s, weighted by r_si,   n = ``SHARPNESS``

    begun at the classes' own corners and at rows drawn far from each other; the likeliest mixture counts. With pair
    noise near one half two classes often share the cluster of one corner. T then counts the given labels of a
    cluster's members, what they were not trained on, and clusters are named so that most labels are right.
    """
    n_classes = p_SC.shape[1]
    p_SC = np.clip(p_SC, SMALLEST, 1)
    p_SC /= p_SC.sum(1, keepdims=True)
    rng = np.random.default_rng(0)
    corners_CC = 0.6 * np.eye(n_classes) + 0.4 / n_classes
    begun = [corners_CC, *(_spread(p_SC, n_classes, rng) for _ in range(N_RESTARTS))]
    _, r_SC = max((_mixture(p_SC, center_CC) for center_CC in begun), key=lambda fitted: fitted[0])
    count_CC = np.stack([r_SC[label_S == j].sum(0) for j in range(n_classes)], axis=1) + SMALLEST
    T_CC, share_C = count_CC / count_CC.sum(1, keepdims=True), r_SC.mean(0)
    order_C = naming(T_CC, share_C)
    return T_CC[order_C], share_C[order_C]


def _spread(p_SC: Array, n_classes: int, rng: np.random.Generator) -> Array:
    """Rows as first centers, each drawn by its divergence from those before (k-means++)."""
    log_p_SC, entropy_S = np.log(p_SC), (p_SC * np.log(p_SC)).sum(1)
    picks = [int(rng.integers(len(p_SC)))]
    nearest_S = np.full(len(p_SC), np.inf)
    while len(picks) < n_classes:
        nearest_S = np.minimum(nearest_S, (entropy_S - p_SC @ log_p_SC[picks[-1]]).clip(min=0))
        total = nearest_S.sum()
        picks.append(int(rng.choice(len(p_SC), p=nearest_S / total if total > 0 else None)))
    return p_SC[picks]


def _mixture(p_SC: Array, center_CC: Array) -> tuple[float, Array]:
    """The mean log-likelihood of the mixture that EM ends with, and its memberships."""
    n_classes = len(center_CC)
    share_C = np.full(n_classes, 1 / n_classes)
    before = -np.inf
    for _ in range(N_ITERATIONS):
        value, r_SC = _memberships(p_SC, center_CC, share_C)
        share_C = r_SC.mean(0)
        center_CC = (r_SC.T @ p_SC + SMALLEST) / (r_SC.sum(0)[:, None] + n_classes * SMALLEST)
        if value - before < TOLERANCE:
            break
        before = value
    return value, r_SC


def _memberships(p_SC: Array, center_CC: Array, share_C: Array) -> tuple[float, Array]:
    log_r_SC = np.log(np.maximum(share_C, SMALLEST)) + SHARPNESS * p_SC @ np.log(np.clip(center_CC, SMALLEST, 1)).T
    largest_S1 = log_r_SC.max(1, keepdims=True)
    r_SC = np.exp(log_r_SC - largest_S1)
    total_S1 = r_SC.sum(1, keepdims=True)
    return float((np.log(total_S1) + largest_S1).mean()), np.asarray(r_SC / total_S1)


def _mended(T_CC: Array, share_C: Array, confident_CC: Array, label_S: Labels) -> Array:
    """T with confident learning's row for a class whose cluster was swallowed by another one."""
    expected_C = class_shares(confident_CC, label_S)
    lost_C = (share_C < 0.5 * expected_C) | (np.diag(T_CC) < 0.5 * np.diag(confident_CC))
    return np.where(lost_C[:, None], confident_CC, T_CC)


def dominant(T_CC: Array) -> Array:
    """T drawn towards the identity, row by row, until every label is most often its own class's.

    Two classes whose rows are alike are one to a network that trains under T, and stay one.
    """
    T_CC = T_CC.copy()
    for i, row_C in enumerate(T_CC):
        others = np.arange(len(T_CC)) != i
        largest = max(row_C[others].max(), T_CC[others, i].max())
        if row_C[i] < MARGIN * largest:
            # (1 - w) T_ii + w = MARGIN * largest, where the other rows stay as they are
            w = max(min(MARGIN * largest, LARGEST) - row_C[i], 0) / max(1 - row_C[i], 1e-12)
            T_CC[i] = (1 - w) * row_C
            T_CC[i, i] += w
    return np.asarray(T_CC)


def naming(T_CC: Array, share_C: Array) -> NDArray[np.int64]:
    """Names for the latent classes: the one-to-one naming under which most labels are right.

    The likelihood does not change when latent classes change names, so nothing but this rule can name them.
    """
    latent, named = linear_sum_assignment(-share_C[:, None] * T_CC)
    order_C = np.empty(len(T_CC), dtype=np.int64)
    order_C[named] = latent
    return order_C
