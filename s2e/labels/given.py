"""The given labels of a job, kept beside the verdicts of its trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from s2e.data.datasets import load_split
from s2e.files import files_below
from s2e.labels.kept import GivenLabels, labels_path, save
from s2e.words import DataSpec


def given_labels(data: DataSpec, data_root: str | None) -> GivenLabels:
    """The labels of the training rows of ``data``. Raises DataError where they are not there."""
    split = load_split(data, data_root)
    ids = split.train_rows.numpy() if split.train_ids is None else split.train_ids
    names = split.class_names or [str(c) for c in range(split.n_classes)]
    label_S = split.train.labels.numpy()
    is_trusted_S = np.zeros(len(label_S), dtype=bool) if split.trusted is None else split.trusted.numpy()
    return GivenLabels(label_S, np.asarray(ids), np.array(names), is_trusted_S)


def keep_labels(root: str | Path, job_id: str, data: DataSpec, data_root: str | None) -> None:
    """Write them for a job that has none yet."""
    relative = labels_path(job_id)
    if files_below(root).look(relative) is None:
        save(root, relative, given_labels(data, data_root))
