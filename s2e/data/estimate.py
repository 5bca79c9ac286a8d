"""Estimating the transition matrix T_ij = P(label j | class i) from predictions, in numpy alone.

Legend: S samples, C classes. ``p_SC`` are probabilities of a network that was trained on the noisy labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def patrini_transition(p_SC: Array, percentile: float = 97) -> Array:
    """T_i = probabilities of the sample that is most surely of class i (Patrini et al. 2017).

    Samples at or above the percentile of p_i are outliers and no representatives; at 100 none is left out.
    """
    representatives = []
    for p_S in p_SC.T:
        limit = np.inf if percentile == 100 else np.percentile(p_S, percentile, method="higher")
        representatives.append(np.where(p_S >= limit, 0, p_S).argmax())
    T_CC = p_SC[representatives]
    return np.asarray(T_CC / T_CC.sum(axis=1, keepdims=True))


def confident_joint(p_SC: Array, label_S: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts [label i, class j] of the samples that are confidently of some class (Northcutt et al. 2021, eq. 1).

    Class j is confident where p_j reaches its mean over the samples labelled j; of several the most probable counts.
    """
    n_classes = p_SC.shape[1]
    members = [p_SC[label_S == j, j] for j in range(n_classes)]
    threshold_C = np.array([p.mean() if len(p) else np.inf for p in members])
    confident_SC = p_SC >= threshold_C - 1e-6  # as cleanlab: a constant p_j reaches its own mean
    sure_S = confident_SC.any(axis=1)
    class_S = np.where(confident_SC, p_SC, -1).argmax(axis=1)
    joint_CC = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(joint_CC, (label_S[sure_S], class_S[sure_S]), 1)
    return joint_CC


def confident_transition(p_SC: Array, label_S: NDArray[np.int64]) -> Array:
    """T of confident learning: the confident joint, its rows scaled to the label counts, read class by class.

    ``p_SC`` must be held out: predicted by networks that did not train on the sample. A label without a confident
    sample counts as right; a class that no sample is confidently of keeps its label.
    """
    n_classes = p_SC.shape[1]
    joint_CC = confident_joint(p_SC, label_S).astype(np.float64)
    joint_CC[np.diag_indices(n_classes)] += joint_CC.sum(axis=1) == 0
    count_C = np.bincount(label_S, minlength=n_classes)
    joint_CC *= (count_C / joint_CC.sum(axis=1))[:, None]
    of_class_CC = joint_CC.T
    total_C1 = of_class_CC.sum(axis=1, keepdims=True)
    return np.where(total_C1 > 0, of_class_CC / np.where(total_C1 > 0, total_C1, 1), np.eye(n_classes))


def class_shares(T_CC: Array, label_S: NDArray[np.int64]) -> Array:
    """Shares q of the classes that T implies, from the label shares r = q T.

    Where T is singular, the smallest q that explains the labels best; shares below 0 count as 0.
    """
    share_C = np.bincount(label_S, minlength=len(T_CC)) / len(label_S)
    class_C = np.linalg.lstsq(T_CC.T, share_C, rcond=None)[0].clip(min=0)
    return np.asarray(class_C / class_C.sum())


def noise_rate_of(T_CC: Array, label_S: NDArray[np.int64]) -> float:
    """Share of wrong labels that T implies: 1 - sum_i q_i T_ii with the shares q of its classes."""
    return float(1 - (class_shares(T_CC, label_S) * np.diag(T_CC)).sum())
