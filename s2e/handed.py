"""Slips in rows and labels that somebody hands over in Python. No torch."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.encoder import is_nothing
from s2e.data.own.slips import written_twice
from s2e.words import DataError


def slip_of_rows(X: Any) -> str | None:
    """Why ``X`` cannot be what it is taken for; None where nothing speaks against it."""
    if isinstance(X, str | Path):
        return f"X is a path: s2e.from_files('table', {str(X)!r}) reads it (or images, text, arrays ...)"
    if _are_texts(X):
        return (
            "X holds a text in each row: pandas.DataFrame({'text': X}) has them in a column, whose words are features"
        )
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
    missing = [i for i, label in enumerate(labels) if _is_no_label(label)]
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


def is_torch_dataset(X: Any) -> bool:
    """False without looking where nobody has imported torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.utils.data.Dataset)


def arrays_of(dataset: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Samples and labels of a torch data set of (sample, label): features [S, F], or images as uint8.

    Raises DataError for samples of different shapes, and images that are no whole multiples of 1/255.
    """
    pairs = [dataset[i] for i in range(len(dataset))]
    if any(not isinstance(pair, tuple | list) or len(pair) != 2 for pair in pairs):
        raise DataError("a torch data set of (sample, label) is needed")
    samples = [np.asarray(sample) for sample, _ in pairs]
    if len({sample.shape for sample in samples}) > 1:
        raise DataError("samples of the data set have different shapes: resize them in its transform")
    x, y = np.stack(samples), np.array([np.asarray(label).item() for _, label in pairs])
    if x.ndim > 2 and x.dtype != np.uint8:
        pixels = np.rint(x * 255)
        if not np.allclose(x * 255, pixels, atol=1e-3) or pixels.min() < 0 or pixels.max() > 255:
            raise DataError("images of the data set are neither uint8 nor in [0, 1] as ToTensor makes them")
        x = pixels.astype(np.uint8)
    return x, y


def moments(x: NDArray[Any], axis: int | None = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and deviation along an axis, or of all numbers. Raises DataError for numbers that cannot be squared."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = np.asarray(x.mean(axis)), np.asarray(x.std(axis))
    if not np.isfinite(deviation).all():
        row, *column = np.unravel_index(int(np.abs(x).argmax()), x.shape)
        at = f"X, row {row}, column {column[0]}" if x.ndim == 2 else f"X, row {row}"
        raise DataError(f"{at}: {x[(row, *column)]:g} is too large to be standardised")
    return mean, deviation


def _are_texts(X: Any) -> bool:
    """True for a list, an array or a series of texts."""
    is_flat = getattr(X, "ndim", 1 if isinstance(X, list | tuple) else 0) == 1
    return is_flat and len(X) > 0 and isinstance(next(iter(X)), str)


def _is_no_label(label: Any) -> bool:
    return is_nothing(label) if not isinstance(label, str | bytes) else not label.strip()


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bytes)
