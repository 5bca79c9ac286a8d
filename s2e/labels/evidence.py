"""The evidence of held-out labels on a training, as its result keeps it, and on several together. Numpy alone.

Of a right label it is whether the training predicts it. Of a noisy one it is the joint probability, for every class i,
that i is the true class and the label is given: q_i T[i, y], with the prediction q at its best temperature. Summed over
trainings and divided by the sum over classes, the joints are the posterior of the true class that all trainings hold
together: what a jury says that no member can talk up for itself.

In an ``even`` jury all count the same, and near relatives outvote the others. In a ``weighed`` one the weights are of
the mixture of trainings under which the labels are likeliest, as in stacking (Wolpert 1992): two that say the same
share one weight.

Legend: V held-out samples, C classes, K trainings.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2e.labels.choice import noisy_score
from s2e.labels.em import Array, Labels
from s2e.words import Evidence

MOST_ROWS, MOST_NUMBERS, FEWEST_ROWS = 1_000, 20_000, 100
"""Noisy rows that a result keeps: numbers are rows times classes, 40 kB of them."""
N_STEPS = 50
"""Of EM for the weights, from equal ones: ten more or fewer hardly change a choice."""
TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, eq=False)
class Verdict:
    """Of K trainings that judge the same rows together."""

    right_KV: Array
    """P(the predicted class is the true one), by the posterior of all."""
    weight_K: Array
    """In the jury; 1 is an equal share."""


def evidence(right: tuple[Array, Labels] | None, noisy: tuple[Array, Labels] | None, T_CC: Array | None) -> Evidence:
    """Of predictions [V, C] with right labels [V], and with noisy ones.

    Where their matrix is not known, noisy labels count as they are, and beside right ones not at all.
    """
    if right is not None:
        p_VC, label_V = right
        kept = Evidence(float((p_VC.argmax(1) == label_V).mean()), len(label_V))
        return kept if noisy is None or T_CC is None else _with_noisy(kept, *noisy, T_CC)
    assert noisy is not None
    return _with_noisy(Evidence(), *noisy, np.eye(noisy[0].shape[1]) if T_CC is None else T_CC)


def _with_noisy(kept: Evidence, p_VC: Array, label_V: Labels, T_CC: Array) -> Evidence:
    n_rows, n_classes = p_VC.shape
    most = min(n_rows, MOST_ROWS, max(FEWEST_ROWS, MOST_NUMBERS // n_classes))
    some = np.linspace(0, n_rows - 1, most).round().astype(int)
    joint_VC = noisy_score(p_VC, label_V, T_CC).joint_VC[some]
    predicted = _text(p_VC[some].argmax(1).astype("<u2"))
    return Evidence(kept.right, kept.n_right, most, predicted, _text(joint_VC.astype("<f2")))


def verdict(evidences: Sequence[Evidence], jury: str = "even") -> Verdict:
    """For each of the noisy rows, of an ``even`` or a ``weighed`` jury.

    Raises ValueError where they are not of the same rows.
    """
    joint_KVC = np.stack([_numbers(one.joint, "<f2").reshape(one.n_noisy, -1) for one in evidences]).astype(np.float64)
    weight_K = _weights(joint_KVC.sum(2)) if jury == "weighed" else np.ones(len(joint_KVC))
    together_VC = np.einsum("k,kvc->vc", weight_K, joint_KVC)
    posterior_VC = together_VC / np.maximum(together_VC.sum(1, keepdims=True), TINY)
    predicted_KV = np.stack([_numbers(one.predicted, "<u2") for one in evidences]).astype(int)
    right_KV = posterior_VC[np.arange(len(posterior_VC)), predicted_KV]
    return Verdict(right_KV, weight_K * len(weight_K) / weight_K.sum())


def _weights(likelihood_KV: Array) -> Array:
    """The weights [K] of a mixture of trainings, by EM on how likely each makes the label of each row."""
    weight_K = np.full(len(likelihood_KV), 1 / len(likelihood_KV))
    for _ in range(N_STEPS):
        share_KV = weight_K[:, None] * np.maximum(likelihood_KV, TINY)
        weight_K = (share_KV / share_KV.sum(0)).mean(1)
    return np.asarray(weight_K)


def _text(values: NDArray[np.generic]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")


def _numbers(text: str, dtype: str) -> NDArray[np.generic]:
    return np.frombuffer(base64.b64decode(text), dtype=dtype)
