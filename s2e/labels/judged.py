"""From a cross-fit to verdicts on single labels. Numpy alone.

Legend: S rows, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2e.labels.issues import LabelIssues, issues, label_quality
from s2e.labels.kept import CrossFitted

if TYPE_CHECKING:
    from s2e.labels.noise import LabelFit


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
    )


def cross_fitted(fit: LabelFit, label_S: NDArray[np.int64]) -> CrossFitted:
    """The part of the fit behind its estimate that a job keeps."""
    wrong_S, quality_S = _wrong_and_quality(fit, label_S, np.empty(0, dtype=np.int64))
    others_SC = fit.p_SC.copy()
    others_SC[np.arange(len(label_S)), label_S] = -1
    return CrossFitted(wrong_S, quality_S, fit.p_SC.argmax(1), others_SC.argmax(1))


def _wrong_and_quality(
    fit: LabelFit, label_S: NDArray[np.int64], known: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    wrong_S = np.asarray(1 - fit.posterior_SC[np.arange(len(label_S)), label_S])
    margin_S = fit.margin_S.astype(np.float64)
    # a trusted label is right, however it is learned
    margin_S[known] = np.inf
    return wrong_S, label_quality(wrong_S, margin_S)
