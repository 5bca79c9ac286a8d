"""Samples that are arrays already: an .npz file, or a folder of .npy files, below the data root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.datasets import Dataset
from s2e.data.encoder import is_missing
from s2e.data.encoders import NumberEncoder
from s2e.data.own.array_files import read_arrays
from s2e.data.own.assemble import largest_pixel, test_rows_of
from s2e.data.own.slips import N_FOR_ID, require_classes, written_twice
from s2e.data.own.tables import path_below
from s2e.data.own.trusted import dealt
from s2e.data.root import required_root
from s2e.data.rows import Samples, all_alike, joined, not_finite, samples
from s2e.words import DataError, TrustedSpec

Labelled = tuple[NDArray[Any], NDArray[np.int64]]


def load_arrays(
    data_root: str | None,
    path: str,
    test_share: float,
    scale: str = "none",
    rare: str = "refuse",
    trusted: TrustedSpec | None = None,
) -> Dataset:
    """The arrays of the file, or of the files of a folder. Raises DataError, with array and row, for arrays that are
    not samples with labels."""
    root, asked = required_root(data_root, "arrays", f"the file {path!r}"), trusted or TrustedSpec()
    name, arrays = read_arrays(path_below(root, path, "data.params.path"), asked.column)
    classes, label_S = _labels(arrays["y"], f"{name}, y", keeps_single=rare == "keep")
    parts = [_require_samples(arrays["X"], len(label_S), f"{name}, X")]
    mark_S = _marked(arrays, asked, len(label_S), name)
    if asked.path is not None:
        second, other = read_arrays(path_below(root, asked.path, "data.trusted.path"), None)
        more_x, more_S = _part(other, "X", "y", classes, second)
        parts, label_S = [*parts, more_x], np.concatenate([label_S, more_S])
        mark_S = np.concatenate([mark_S, np.ones(len(more_S), dtype=bool)])
    counted, has_test = None, "X_test" in arrays
    if asked.is_declared:
        counted = dealt(label_S[mark_S], len(classes), asked, may_test=not has_test)
    test = np.arange(0) if has_test else test_rows_of("arrays", label_S, mark_S, counted, test_share)
    train = np.setdiff1d(np.arange(len(label_S)), test, assume_unique=True)
    encoder = _encoder(parts, train, scale)
    x = joined([_as_samples(part, encoder) for part in parts])
    tests = _part(arrays, "X_test", "y_test", classes, name) if has_test else None
    test_x = x[torch.from_numpy(test)] if tests is None else _as_samples(tests[0], encoder)
    train_x = x[torch.from_numpy(train)]
    return Dataset(
        "arrays",
        len(classes),
        largest_pixel(train_x),
        train_x,
        torch.from_numpy(label_S[train]),
        test_x,
        torch.from_numpy(label_S[test] if tests is None else tests[1]),
        encoder,
        tuple(map(str, classes.tolist())),
        None if counted is None else torch.from_numpy(mark_S[train]),
        counted,
        train_ids=train,
        test_ids=test if tests is None else np.arange(len(tests[1])),
    )


def _encoder(parts: Sequence[NDArray[Any]], train: NDArray[np.int64], scale: str) -> NumberEncoder | None:
    """Standardising by the rows that train, where the job asks for it and they are no pixels."""
    if scale != "standardise" or parts[0].ndim != 2:
        return None
    x = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return NumberEncoder.of_rows(x, train)


def _as_samples(x: NDArray[Any], encoder: NumberEncoder | None) -> Samples:
    """Features float32 [S, F], or pixels uint8 [S, D, H, W]."""
    if x.ndim > 2:
        return samples(x[:, None] if x.ndim == 3 else x)
    return samples(x, _numbers if encoder is None else lambda part: encoder.encode(_numbers(part)))


def _numbers(x: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(x, dtype=np.float32)


def _part(arrays: Mapping[str, NDArray[Any]], x: str, y: str, classes: NDArray[Any], name: str) -> Labelled:
    """Samples beside those that train, and their classes."""
    label_S = _labels_among(arrays[y], classes, f"{name}, {y}")
    return _require_samples(arrays[x], len(label_S), f"{name}, {x}"), label_S


def _marked(arrays: Mapping[str, NDArray[Any]], asked: TrustedSpec, n_rows: int, name: str) -> NDArray[np.bool_]:
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


def _require_samples(x: NDArray[Any], n_labels: int, at: str) -> NDArray[Any]:
    """Features [S, F] of finite numbers, or pixels uint8."""
    if x.ndim not in (2, 3, 4) or not x.size:
        raise DataError(f"{at} has shape {x.shape}: [S, F], or uint8 images [S, H, W] or [S, D, H, W]")
    if len(x) != n_labels:
        raise DataError(f"{at} has {len(x)} rows, but there are {n_labels} labels")
    if x.ndim > 2 and x.dtype != np.uint8:
        raise DataError(f"{at} holds {x.dtype}: images are uint8")
    if x.dtype.kind not in "biuf":
        raise DataError(f"{at} holds {x.dtype}: features are numbers")
    if len(x) > 1 and all_alike(x):
        raise DataError(f"{at}: all {len(x)} samples are the same: there is nothing to tell classes apart")
    if x.ndim > 2:
        return x
    bad = not_finite(x)
    if len(bad):
        raise DataError(f"{at}, row {int(bad[0])} ({len(bad)} such rows): not finite numbers of float32")
    return x


def _labels(y: NDArray[Any], at: str, *, keeps_single: bool) -> tuple[NDArray[Any], NDArray[np.int64]]:
    y = _plain(y, at)
    classes, label_S = np.unique(y, return_inverse=True)
    require_classes(len(classes), len(y), at)
    count_C = np.bincount(label_S)
    if (pair := written_twice(map(str, classes.tolist()))) and y.dtype.kind == "U":
        row = int((y == pair[1]).argmax())
        raise DataError(f"{at}, row {row}: label {pair[1][:40]!r} is {pair[0][:40]!r}, written in another way")
    empty = [name for name in classes.tolist() if isinstance(name, str) and is_missing(name)]
    if empty:
        row = int((y == empty[0]).argmax())
        raise DataError(f"{at}, row {row} has no label ({int((y == empty[0]).sum())} such rows): leave them out")
    if len(y) >= N_FOR_ID and (count_C == 1).any() and not keeps_single:
        c = int((count_C == 1).argmax())
        raise DataError(
            f"{at}, row {int((label_S == c).argmax())}: the only one of class {classes[c]!s:.40} "
            f"({int((count_C == 1).sum())} such classes): add rows of it, mend the label, or leave the row out"
        )
    return classes, label_S.astype(np.int64)


def _plain(y: NDArray[Any], at: str) -> NDArray[Any]:
    """Labels [S] of whole numbers, true and false, or text; bytes are text in UTF-8."""
    if y.ndim != 1 or y.dtype.kind not in "biuSU":
        hint = "; of one-hot rows write y.argmax(1)" if y.ndim == 2 and y.shape[1] > 1 else ""
        raise DataError(f"{at} has shape {y.shape} of {y.dtype}: one whole number or text for each row{hint}")
    try:
        return np.char.decode(y, "utf-8") if y.dtype.kind == "S" else y
    except UnicodeDecodeError as error:
        raise DataError(f"{at} holds bytes that are not text in UTF-8: {error}") from error


def _labels_among(y: NDArray[Any], classes: NDArray[Any], at: str) -> NDArray[np.int64]:
    y = _plain(y, at)
    unknown_S = ~np.isin(y, classes)
    if unknown_S.any():
        raise DataError(f"{at}, row {int(unknown_S.argmax())}: a label that is not among those of y")
    return np.searchsorted(classes, y).astype(np.int64)
