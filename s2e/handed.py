"""Slips in rows and labels that somebody hands over in Python. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.own.slips import written_twice
from s2e.words import DataError


def slip_of_rows(X: Any) -> str | None:
    """Why ``X`` cannot be what it is taken for; None where nothing speaks against it."""
    if isinstance(X, str | Path):
        return f"X is a path: s2e.from_files('table', {str(X)!r}) reads it (or images, text, arrays ...)"
    if isinstance(X, np.ma.MaskedArray) and (masked := np.ma.getmaskarray(X)).any():
        row = int(masked.reshape(len(X), -1).any(1).argmax())
        return f"X is masked in {int(masked.sum())} cells, the first in row {row}: X.filled(value) fills them"
    if hasattr(X, "columns") and len(set(X.columns)) < len(X.columns):
        twice = next(name for i, name in enumerate(X.columns) if name in list(X.columns)[:i])
        return f"X has two columns called {twice!r}"
    return None


def slip_of_labels(y: Any) -> str | None:
    """Why the labels ``y`` cannot be classes; None where nothing speaks against it, or another check names it."""
    labels = list(y.tolist() if hasattr(y, "tolist") else y) if isinstance(y, Iterable) and not _is_text(y) else []
    missing = [i for i, label in enumerate(labels) if label is None or (_is_text(label) and not label.strip())]
    if missing:
        return f"y is missing in {len(missing)} rows, the first is row {missing[0]}: fill it in, or leave the row out"
    texts = [i for i, label in enumerate(labels) if isinstance(label, str)]
    if 0 < len(texts) < len(labels):
        other = next(i for i, label in enumerate(labels) if not isinstance(label, str))
        return (
            f"y mixes text and other values: {labels[texts[0]]!r} in row {texts[0]}, {labels[other]!r} in row {other}; "
            "write all of them as text"
        )
    if texts and (pair := written_twice(set(labels))):
        return f"y, row {labels.index(pair[1])}: label {pair[1]!r} is {pair[0]!r}, written in another way"
    return None


def moments(x: NDArray[Any], axis: int | None = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and deviation along an axis, or of all numbers. Raises DataError for numbers that cannot be squared."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = np.asarray(x.mean(axis)), np.asarray(x.std(axis))
    if not np.isfinite(deviation).all():
        row, *column = np.unravel_index(int(np.abs(x).argmax()), x.shape)
        at = f"X, row {row}, column {column[0]}" if x.ndim == 2 else f"X, row {row}"
        raise DataError(f"{at}: {x[(row, *column)]:g} is too large to be standardised")
    return mean, deviation


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bytes)
