"""Finding the labels that are likely wrong: ``s2e.find_label_issues``.

Legend: S rows, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from s2e.data.own.slips import require_classes
from s2e.extras import needs
from s2e.handed import moments, slip_of_labels, slip_of_rows
from s2e.labels.issues import LabelIssues
from s2e.labels.judged import judged
from s2e.own_files import is_files
from s2e.own_frames import as_handed_over, is_frame, written
from s2e.words import DataError, TrainSpec, replace

TRAIN = TrainSpec(method="standard", network="mlp_tabular", network_params={"hidden": [256]}, batch_size=64)
SMALL, SMALL_BATCH = 2_000, 32
"""Fewer rows than this train with smaller batches."""


def find_label_issues(
    X: ArrayLike | Mapping[str, Any],
    y: ArrayLike | None = None,
    *,
    trusted: ArrayLike | None = None,
    train: TrainSpec | None = None,
    n_folds: int = 5,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> LabelIssues:
    """Rank the labels ``y`` [S] of the rows ``X`` from wrong to right, and estimate how many are wrong.

        issues = s2e.find_label_issues(X, y)
        pandas.DataFrame(issues.columns()).iloc[issues.worst(20)]

    ``X`` are numbers: features [S, F] of any scales, or images [S, H, W] or [S, D, H, W]; a data frame may have text
    too. Networks train on four fifths of the rows and predict the rest, in turn with the noise matrix
    (:mod:`s2e.labels.noise`). ``train`` chooses another network than one hidden layer of 256 units. ``trusted`` are
    indices or a mask of rows whose labels are right: they help, and are never reported. The seed fixes everything;
    ``progress`` is called with the share that is done.

    Raises DataError for rows that are not finite numbers, classes of one row, and labels that cannot be
    told from noise; MissingExtraError where torch is not installed.
    """
    if is_files(X):
        return _of_files(X, train, n_folds, seed, progress)
    if y is None:
        raise DataError("y is missing: one label for each row of X")
    if slip := slip_of_rows(X) or slip_of_labels(y):
        raise DataError(slip)
    x: Any = X if is_frame(X) else _rows(X)
    label_S, classes = _labels(y)
    if len(x) != len(label_S):
        raise DataError(f"{len(x)} rows of X, but {len(label_S)} labels in y")
    known = _indices(trusted, len(label_S))
    if is_frame(x):
        return _of_frame(x, label_S, classes, known, train, n_folds, seed, progress)
    if (x == x[:1]).all():
        raise DataError(f"all {len(x)} rows of X are the same: there is nothing to tell classes apart")
    with needs("train"):
        from s2e.labels.arrays import fit_arrays
    train = train or (TRAIN if len(x) >= SMALL else replace(TRAIN, batch_size=SMALL_BATCH))
    fit = fit_arrays(x, label_S, train, classes, n_folds=n_folds, seed=seed, trusted=known, progress=progress)
    return judged(fit, label_S, classes, known)


def _of_frame(
    X: Any,
    label_S: NDArray[np.int64],
    classes: NDArray[Any],
    known: NDArray[np.int64],
    train: TrainSpec | None,
    n_folds: int,
    seed: int,
    progress: Callable[[float], None] | None,
) -> LabelIssues:
    """Of a data frame with text, dates or categories: a table of one's own while this runs."""
    trusted = {"rows": known.tolist()} if len(known) else None
    with TemporaryDirectory(prefix="s2e-") as folder, as_handed_over():
        files = written(X, label_S, Path(folder), trusted)
        return _of_files(files, train, n_folds, seed, progress).by_row(classes)


def _of_files(
    files: Mapping[str, Any],
    train: TrainSpec | None,
    n_folds: int,
    seed: int,
    progress: Callable[[float], None] | None,
) -> LabelIssues:
    with needs("train"):
        from s2e.labels.sources import source_issues
        from s2e.labels.whole import read_whole, train_of
    data, root = read_whole(files)
    return source_issues(data, root, train or train_of(data, root), n_folds=n_folds, seed=seed, progress=progress)


def _rows(X: ArrayLike) -> NDArray[np.float32]:
    """Finite numbers; columns of a table have mean 0 and deviation 1, images have so as a whole."""
    if hasattr(X, "tocsr"):
        raise DataError("X is sparse: X.toarray() makes rows of numbers of it, a TruncatedSVD fewer columns")
    try:
        if np.iscomplexobj(X):
            raise DataError("X holds complex numbers: give real and imaginary parts as columns")
        x = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"X must hold numbers: encode text and categories first ({error})") from error
    if x.ndim not in (2, 3, 4) or not x.size:
        raise DataError(f"X has shape {x.shape}: features [rows, features], or images with two or three further axes")
    bad_S = ~np.isfinite(x.reshape(len(x), -1)).all(1)
    if bad_S.any():
        raise DataError(f"X holds NaN or infinity in {bad_S.sum()} rows, the first is row {int(bad_S.argmax())}")
    mean, deviation = moments(x, 0 if x.ndim == 2 else None)
    return np.asarray((x - mean) / np.where(deviation > 0, deviation, 1), dtype=np.float32)


def _labels(y: ArrayLike) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Labels as 0..C-1, and the values they stand for."""
    given_S = np.asarray(y)
    if given_S.ndim != 1:
        hint = "; of one-hot rows give y.argmax(1), of one column y.ravel()" if given_S.ndim == 2 else ""
        raise DataError(f"y has shape {given_S.shape}: one label for each row{hint}")
    missing_S = given_S != given_S  # NaN and NaT
    missing_S = missing_S | np.array([label is None for label in given_S], dtype=bool)
    if missing_S.any():
        raise DataError(f"y is missing in {missing_S.sum()} rows, the first is row {int(np.argmax(missing_S))}")
    classes, label_S = np.unique(given_S, return_inverse=True)
    require_classes(len(classes), len(label_S), "y")
    return label_S.astype(np.int64), classes


def _indices(trusted: ArrayLike | None, n_rows: int) -> NDArray[np.int64]:
    rows = np.asarray([] if trusted is None else trusted)
    if rows.dtype == bool:
        if rows.shape != (n_rows,):
            raise DataError(f"trusted is a mask of shape {rows.shape}, X has {n_rows} rows")
        return np.flatnonzero(rows)
    if rows.size and (rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= n_rows):
        raise DataError(f"trusted must be a mask, or indices of rows from 0 to {n_rows - 1}")
    return np.unique(rows.astype(np.int64))
