"""From a cross-fit to verdicts on single labels. Numpy alone.

Legend: S rows, H of them that train nothing, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2e.labels.alarms import BETTER
from s2e.labels.issues import HeldOut, LabelIssues, issues, label_quality, ranks
from s2e.labels.kept import CrossFitted

if TYPE_CHECKING:
    from s2e.labels.noise import LabelFit

PLAIN_WEIGHT = 2 / 3
"""Of the plain networks' ranks, where those under the matrix are not clearly better."""


def judged(fit: LabelFit, label_S: NDArray[np.int64], classes: NDArray[Any], known: NDArray[np.int64]) -> LabelIssues:
    """For users; ``known`` are rows whose labels are right."""
    wrong_S, quality_S = _wrong_and_quality(fit, label_S, known)
    return LabelIssues(
        is_label_issue=issues(quality_S, round(fit.estimate.noise_rate * fit.estimate.n_rows)),
        label_quality=quality_S,
        given_label=classes[label_S],
        predicted_label=classes[fit.p_SC.argmax(1)],
        probability_wrong=wrong_S,
        noise=fit.estimate,
        held_out=HeldOut(fit.p_SC, classes),
    )


def cross_fitted(fit: LabelFit, label_S: NDArray[np.int64]) -> CrossFitted:
    """The part of the fit behind its estimate that a job keeps; ``label_S`` are those of the rows that train, then
    those of the rows that were only looked at."""
    n_train = len(fit.p_SC)
    wrong_S, quality_S = _wrong_and_quality(fit, label_S[:n_train], np.empty(0, dtype=np.int64))
    other_S = np.arange(len(fit.others_p_HC))
    wrong_H = np.asarray(1 - fit.others_posterior_HC[other_S, label_S[n_train:]])
    p_SC = np.concatenate([fit.p_SC, fit.others_p_HC])
    others_SC = p_SC.copy()
    others_SC[np.arange(len(p_SC)), label_S] = -1
    return CrossFitted(
        np.concatenate([wrong_S, wrong_H]),
        np.concatenate([quality_S, _quality_among(wrong_H, wrong_S)]),
        p_SC.argmax(1),
        others_SC.argmax(1),
    )


def _quality_among(wrong_H: NDArray[np.float64], wrong_S: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank that a row's probability would have among those of the rows that train, which are held out too."""
    return np.asarray((len(wrong_S) - np.searchsorted(np.sort(wrong_S), wrong_H) + 0.5) / (len(wrong_S) + 1))


def _wrong_and_quality(
    fit: LabelFit, label_S: NDArray[np.int64], known: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    row_S = np.arange(len(label_S))
    wrong_S = np.asarray(1 - fit.posterior_SC[row_S, label_S])
    quality_S = label_quality(wrong_S, _trusting(fit.margin_S, known))
    if fit.over_plain < BETTER:
        plain_S = label_quality(1 - fit.plain.p_SC[row_S, label_S], _trusting(fit.plain.margin_S, known))
        quality_S = ranks(PLAIN_WEIGHT * ranks(plain_S) + (1 - PLAIN_WEIGHT) * ranks(quality_S))
    return wrong_S, quality_S


def _trusting(margin_S: NDArray[np.float32], known: NDArray[np.int64]) -> NDArray[np.float64]:
    """The margins; a trusted label is right, however it is learned."""
    trusting_S: NDArray[np.float64] = margin_S.astype(np.float64)
    trusting_S[known] = np.inf
    return trusting_S
