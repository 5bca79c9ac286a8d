"""The given labels of a job, kept beside the verdicts of its trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from s2e.data.datasets import load_split
from s2e.files import files_below
from s2e.labels.kept import SPLITS, GivenLabels, labels_path, save
from s2e.words import DataSpec, replace


def given_labels(data: DataSpec, data_root: str | None) -> GivenLabels:
    """The labels of all rows of ``data``: those that train, validate and test, before rows change their part.

    Raises DataError where they are not there.
    """
    trusted = replace(data.trusted, refit=False, fold=None)
    split = load_split(replace(data, trusted=trusted, refit=False, fold=None), data_root)
    parts = (split.train, split.validation, split.test)
    test_rows = np.arange(len(split.test.labels))
    rows = (split.train_rows.numpy(), split.validation_rows.numpy(), test_rows)
    named = (split.train_ids, split.validation_ids, split.test_ids)
    ids = [of_part if known is None else known for of_part, known in zip(rows, named, strict=True)]
    sizes = [len(part.labels) for part in parts]
    known_to_be_right = (
        np.zeros(sizes[0], dtype=bool) if split.trusted is None else split.trusted.numpy(),
        np.full(sizes[1], split.validates_by_trust),
        np.full(sizes[2], split.tests_by_trust),
    )
    return GivenLabels(
        np.concatenate([part.labels.numpy() for part in parts]),
        np.concatenate(ids),
        np.array(split.class_names or [str(c) for c in range(split.n_classes)]),
        np.concatenate(known_to_be_right),
        np.repeat(SPLITS, sizes),
    )


def keep_labels(root: str | Path, job_id: str, data: DataSpec, data_root: str | None) -> None:
    """Write them for a job that has none yet."""
    relative = labels_path(job_id)
    if files_below(root).look(relative) is None:
        save(root, relative, given_labels(data, data_root))
