"""Samples that are arrays already: one .npz file below the data root."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.datasets import Dataset
from s2e.data.encoders import NumberEncoder
from s2e.data.own.assemble import test_rows_of
from s2e.data.own.trusted import dealt
from s2e.data.root import file_below, required_root
from s2e.words import MAX_CLASSES, DataError, TrustedRows, TrustedSpec, replace

MAX_BYTES = 4 * 2**30
NEEDED, MORE = ("X", "y"), ("X_test", "y_test")
Samples = tuple[NDArray[Any], NDArray[np.int64]]


def load_arrays(
    data_root: str | None, path: str, test_share: float, scale: str = "none", trusted: TrustedSpec | None = None
) -> Dataset:
    """The arrays of the file. Raises DataError, with array and row, for arrays that are not samples with labels."""
    root, asked = required_root(data_root, "arrays", f"the file {path!r}"), trusted or TrustedSpec()
    file = _small(file_below(root, path, "data.params.path"))
    arrays = _read(file.name, file, asked.column)
    classes, label_S = _labels(arrays["y"], f"{file.name}, y")
    x = _samples(arrays["X"], len(label_S), f"{file.name}, X")
    mark_S = _marked(arrays, asked, len(label_S), file.name)
    if asked.path is not None:
        second = _small(file_below(root, asked.path, "data.trusted.path"))
        more_x, more_S = _part(_read(second.name, second, None), "X", "y", classes, second.name)
        x, label_S = np.concatenate([x, more_x]), np.concatenate([label_S, more_S])
        mark_S = np.concatenate([mark_S, np.ones(len(more_S), dtype=bool)])
    counted, has_test = None, "X_test" in arrays
    if asked.is_declared:
        counted = dealt(label_S[mark_S], len(classes), asked, may_test=not has_test)
    test = np.arange(0) if has_test else test_rows_of("arrays", label_S, mark_S, counted, test_share)
    train = np.setdiff1d(np.arange(len(label_S)), test, assume_unique=True)
    parts = x[train], label_S[train]
    tests = _part(arrays, "X_test", "y_test", classes, file.name) if has_test else (x[test], label_S[test])
    is_trusted = None if counted is None else torch.from_numpy(mark_S[train])
    ids = train, np.arange(len(tests[1])) if has_test else test
    return _dataset(parts, tests, classes, scale, is_trusted, counted, *ids)


def _dataset(
    train: Samples,
    test: Samples,
    classes: NDArray[Any],
    scale: str,
    trusted: torch.Tensor | None,
    counted: TrustedRows | None,
    train_ids: NDArray[np.int64],
    test_ids: NDArray[np.int64],
) -> Dataset:
    (x, label_S), (test_x, test_S) = train, test
    encoder = NumberEncoder.of(x) if scale == "standardise" and x.ndim == 2 else None
    max_value = max(1, int(x.max())) if x.dtype == np.uint8 else 1
    if encoder is not None:
        x, test_x = encoder.encode(x), encoder.encode(test_x)
    tensors = [torch.from_numpy(array) for array in (x, label_S, test_x, test_S)]
    names = tuple(map(str, classes.tolist()))
    facts = (encoder, names, trusted, counted)
    whole = Dataset("arrays", len(classes), max_value, tensors[0], tensors[1], tensors[2], tensors[3], *facts)
    return replace(whole, train_ids=train_ids, test_ids=test_ids)


def _part(arrays: dict[str, NDArray[Any]], x: str, y: str, classes: NDArray[Any], name: str) -> Samples:
    """Samples beside those that train, and their classes."""
    label_S = _labels_among(arrays[y], classes, f"{name}, {y}")
    return _samples(arrays[x], len(label_S), f"{name}, {x}"), label_S


def _small(file: Path) -> Path:
    if file.stat().st_size > MAX_BYTES:
        raise DataError(f"{file.name} has {file.stat().st_size} bytes, at most {MAX_BYTES} are read")
    return file


def _marked(arrays: dict[str, NDArray[Any]], asked: TrustedSpec, n_rows: int, name: str) -> NDArray[np.bool_]:
    """Mask of the trusted rows [S]. Raises DataError for a column of anything but yes and no, and for a missing row."""
    mark_S = np.zeros(n_rows, dtype=bool)
    if asked.column is not None:
        said = arrays.get(asked.column)
        if said is None or said.shape != (n_rows,) or said.dtype.kind not in "biu" or not np.isin(said, (0, 1)).all():
            raise DataError(
                f"{name}: data.trusted.column = {asked.column!r} must name an array of {n_rows} values true or false"
            )
        mark_S |= said.astype(bool)
    beyond = [row for row in asked.rows if row >= n_rows]
    if beyond:
        raise DataError(f"data.trusted.rows: row {beyond[0]}, but {name} has {n_rows} rows, numbered from 0")
    mark_S[list(asked.rows)] = True
    return mark_S


def _read(name: str, file: Any, more: str | None) -> dict[str, NDArray[Any]]:
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in (*NEEDED, *MORE, more) if key is not None and key in stored.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise DataError(f"{name} is not an .npz file of plain arrays: {error}") from error
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
