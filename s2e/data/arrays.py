"""Samples that are arrays already: one .npz file below the data root."""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.datasets import Dataset
from s2e.data.root import file_below, required_root
from s2e.data.splits import stratified
from s2e.words import MAX_CLASSES, DataError, derive_seed

MAX_BYTES = 4 * 2**30
NEEDED, MORE = ("X", "y"), ("X_test", "y_test")


def load_arrays(data_root: str | None, path: str, test_share: float) -> Dataset:
    """The arrays of the file. Raises DataError for arrays that are no samples with labels: array and row are named."""
    root = required_root(data_root, "arrays", f"the file {path!r}")
    file = file_below(root, path, "data.params.path")
    if file.stat().st_size > MAX_BYTES:
        raise DataError(f"{file.name} has {file.stat().st_size} bytes, at most {MAX_BYTES} are read")
    arrays = _read(file.name, file)
    classes, train_S = _labels(arrays["y"], f"{file.name}, y")
    train_x = _samples(arrays["X"], len(train_S), f"{file.name}, X")
    ids = None
    if "X_test" in arrays:
        test_S = _labels_among(arrays["y_test"], classes, f"{file.name}, y_test")
        test_x = _samples(arrays["X_test"], len(test_S), f"{file.name}, X_test")
    else:
        n_test = min(max(1, round(test_share * len(train_S))), len(train_S) - 1)
        test, train = stratified(train_S, n_test, np.random.default_rng(derive_seed("arrays", "test split")))
        test_x, test_S, train_x, train_S, ids = train_x[test], train_S[test], train_x[train], train_S[train], train
    max_value = max(1, int(train_x.max())) if train_x.dtype == np.uint8 else 1
    tensors = [torch.from_numpy(array) for array in (train_x, train_S, test_x, test_S)]
    names = tuple(map(str, classes.tolist()))
    return Dataset("arrays", len(classes), max_value, tensors[0], tensors[1], tensors[2], tensors[3], None, names, ids)


def _read(name: str, file: Any) -> dict[str, NDArray[Any]]:
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in (*NEEDED, *MORE) if key in stored.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise DataError(f"{name} is no .npz file of plain arrays: {error}") from error
    if missing := [key for key in NEEDED if key not in arrays]:
        raise DataError(f"{name} has no array {missing[0]!r}: samples are X, their labels y")
    if ("X_test" in arrays) != ("y_test" in arrays):
        raise DataError(f"{name} has one of X_test and y_test: give both, or neither")
    return arrays


def _samples(x: NDArray[Any], n_labels: int, at: str) -> NDArray[Any]:
    """Features float32 [S, F], or pixels uint8 [S, D, H, W]."""
    if x.ndim not in (2, 3, 4) or not x.size:
        raise DataError(f"{at} has shape {x.shape}: [S, F], or uint8 images [S, H, W] or [S, D, H, W]")
    if len(x) != n_labels:
        raise DataError(f"{at} has {len(x)} rows, but there are {n_labels} labels")
    if x.ndim > 2 and x.dtype != np.uint8:
        raise DataError(f"{at} holds {x.dtype}: images are uint8")
    if x.ndim > 2:
        return np.ascontiguousarray(x[:, None] if x.ndim == 3 else x)
    if x.dtype.kind not in "biuf":
        raise DataError(f"{at} holds {x.dtype}: features are numbers")
    x = np.ascontiguousarray(x, dtype=np.float32)
    bad_S = ~np.isfinite(x).all(1)
    if bad_S.any():
        raise DataError(f"{at}, row {int(bad_S.argmax())} ({int(bad_S.sum())} such rows): not finite numbers")
    return x


def _labels(y: NDArray[Any], at: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    if y.ndim != 1 or y.dtype.kind not in "biuSU":
        raise DataError(f"{at} has shape {y.shape} of {y.dtype}: one whole number or text for each row")
    classes, label_S = np.unique(y, return_inverse=True)
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise DataError(f"{at}: {len(classes)} different labels, 2 to {MAX_CLASSES} are allowed")
    return classes, label_S.astype(np.int64)


def _labels_among(y: NDArray[Any], classes: NDArray[Any], at: str) -> NDArray[np.int64]:
    unknown_S = ~np.isin(y, classes)
    if y.ndim != 1 or unknown_S.any():
        raise DataError(f"{at}, row {int(unknown_S.argmax())}: a label that is not among those of y")
    return np.searchsorted(classes, y).astype(np.int64)
