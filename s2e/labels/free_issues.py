"""The verdict of an estimator's own trainings on every row it was given.

Legend: S rows in the order they were given in: those of the training set, then those of the test set.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2e.data.datasets import load_split
from s2e.labels.free import TrialMargins
from s2e.labels.given import given_labels
from s2e.labels.issues import LabelIssues
from s2e.labels.job_audit import audit
from s2e.words import DataSpec


def free_issues(
    data: DataSpec, data_root: str | None, noise_rate: float, trainings: Sequence[TrialMargins]
) -> LabelIssues:
    """Ranks, and no probability. Without a training every rank is NaN."""
    labels, split = given_labels(data, data_root), load_split(data, data_root)
    n_train, n_test = len(split.train_rows) + len(split.validation_rows), len(split.test.labels)
    order = np.argsort(
        np.concatenate([split.train_rows.numpy(), split.validation_rows.numpy(), n_train + np.arange(n_test)])
    )
    given, unknown = labels.name_C[labels.label_S], np.full(len(labels), np.nan)
    if not trainings:
        none = np.zeros(len(labels), dtype=bool)
        return LabelIssues(none, unknown, given[order], given[order], unknown, None, split=labels.split_S[order])
    judged = audit(labels, noise_rate, trainings)
    order = np.argsort(judged.row)[order]
    return LabelIssues(
        judged.is_label_issue[order],
        judged.label_quality[order],
        judged.given_label[order],
        judged.predicted_label[order],
        unknown,
        None,
        split=judged.split[order],
    )
