"""Wrong labels of a data set: every row of it is judged by networks that did not train on it.

Legend: S rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.datasets import Dataset, load_whole
from s2e.data.rows import joined, n_bytes
from s2e.labels.issues import LabelIssues
from s2e.labels.judged import judged
from s2e.labels.noise import LabelFit, Progress, estimate_noise
from s2e.networks.build import build
from s2e.train.crossfit import Samples
from s2e.train.resident import held, needs_stream
from s2e.train.runtime import prepare_process
from s2e.words import DataSpec, PlanSpec, TrainSpec, replace


@dataclass(frozen=True, eq=False)
class AllRows:
    """Every row of a data set: those that train, then those that test."""

    data: Dataset
    label_S: NDArray[np.int64]
    id_S: NDArray[np.str_] | NDArray[np.int64]
    classes: NDArray[np.str_] | NDArray[np.int64]
    trusted: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label_S)


def all_rows(data: DataSpec, data_root: str | None) -> AllRows:
    """Raises DataError as loading the data does."""
    whole = load_whole(data, data_root)
    label_S = torch.cat([whole.train_labels, whole.test_labels]).numpy()
    train, test = (np.arange(len(part)) for part in (whole.train_labels, whole.test_labels))
    ids = train if whole.train_ids is None else whole.train_ids, test if whole.test_ids is None else whole.test_ids
    classes = np.array(whole.class_names) if whole.class_names else np.arange(whole.n_classes)
    trusted = np.empty(0, dtype=np.int64) if whole.trusted is None else np.flatnonzero(whole.trusted.numpy())
    return AllRows(whole, label_S, np.concatenate(ids), classes, trusted)


def source_issues(
    data: DataSpec,
    data_root: str | None,
    train: TrainSpec,
    *,
    n_folds: int = 5,
    seed: int = 0,
    rows: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
) -> LabelIssues:
    """Every label of a data set, or those of some ``rows`` among :func:`all_rows`. Raises DataError."""
    every = all_rows(data, data_root)
    rows = np.arange(len(every)) if rows is None else rows
    fit, known = _fit(every, rows, train, data_root, n_folds, seed, progress)
    judgement = judged(fit, every.label_S[rows], every.classes, known)
    return replace(judgement, id=every.id_S[rows])


def _fit(
    every: AllRows,
    rows: NDArray[np.int64],
    train: TrainSpec,
    data_root: str | None,
    n_folds: int,
    seed: int,
    progress: Progress | None,
) -> tuple[LabelFit, NDArray[np.int64]]:
    device, dtype = prepare_process(PlanSpec())
    whole = every.data
    network = build(train, whole.train_images.shape[1:], whole.n_classes, data_root)
    x = joined([whole.train_images, whole.test_images])[torch.from_numpy(rows)]
    scale = whole.max_value
    streamed = needs_stream(PlanSpec(), n_bytes(x))
    x = held(x, network.arrange, device, streamed=streamed)
    labels, names = every.label_S[rows], every.classes.tolist()
    samples = Samples(x, labels, lambda part: part.to(dtype) / scale, class_names=names)
    known = np.flatnonzero(np.isin(rows, every.trusted))
    fit = estimate_noise(samples, network, train, n_folds=n_folds, seed=seed, trusted=known, progress=progress)
    return fit, known
