"""Texts of your own: a column of a table, or one file for each text in one folder for each class.

Legend: S texts, F features, V terms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.datasets import Dataset
from s2e.data.encoders import TextEncoder
from s2e.data.own import cache
from s2e.data.own.source import Indices, Source
from s2e.data.own.table import load_paths
from s2e.data.own.tables import read_frame
from s2e.data.own.terms import TextSettings, fitted
from s2e.words import DataError, TrustedSpec

MAX_TEXT = 10_000_000


@dataclass(frozen=True, eq=False)
class Texts(Source):
    """Texts with their labels."""

    file: str
    label: str
    labels: Sequence[str]
    texts: Sequence[str]
    settings: TextSettings
    text_column: str
    where_: Callable[[int], str]
    row_ids: NDArray[Any]
    cells: Callable[[str], Sequence[str]] | None = None
    labels_are_cells: bool = True

    @property
    def input_names(self) -> Sequence[str]:
        return ["text"]

    def where(self, i: int) -> str:
        return self.where_(i)

    def ids(self) -> NDArray[Any]:
        return self.row_ids

    def column(self, name: str) -> Sequence[str]:
        return super().column(name) if self.cells is None else self.cells(name)

    def fit(self, rows: Indices) -> TextEncoder:
        empty = [i for i, text in enumerate(self.texts) if not text.strip()]
        if empty:
            raise DataError(f"{self.where(empty[0])}: no text ({len(empty)} such rows): fill it in, or leave it out")
        if len(set(self.texts)) == 1:
            raise DataError(f"{self.file}: all {len(self.texts)} texts are the same: there is nothing to tell apart")
        return fitted(self.file, [self.texts[i] for i in rows], self.settings, self.text_column)

    def encode(self, fitted: TextEncoder) -> NDArray[Any]:
        return fitted.encode(self.texts)


def load_text(
    data_root: str | None,
    trusted: TrustedSpec,
    *,
    text: str,
    label: str,
    features: str,
    n_words: int,
    n_terms: int,
    n_vectors: int,
    header: bool,
    delimiter: str,
    **where: Any,
) -> Dataset:
    """Texts as vectors. Raises DataError: file and row are named."""
    settings = TextSettings(features, n_words, n_terms, n_vectors)

    def open_path(path: Path) -> Source:
        if path.is_dir() and not any(path.glob("*.arrow")) and not any(path.glob("*.parquet")):
            return _folder(path, settings, text)
        frame = read_frame(path, header=header, delimiter=delimiter)
        texts, labels = frame.cells(text, "data.params.text"), frame.cells(label, "data.params.label")
        return Texts(
            frame.file,
            f"column {label}",
            labels,
            texts,
            settings,
            text,
            frame.where,
            frame.ids(),
            lambda name: frame.cells(name, "data.trusted.column"),
        )

    return load_paths(data_root, "text", trusted, open_path, where)


def _folder(path: Path, settings: TextSettings, column: str) -> Texts:
    """One folder for each class; files are UTF-8, or Latin-1 where they are not."""
    classes = sorted(one for one in path.iterdir() if one.is_dir() and not one.name.startswith("."))
    files = [(one.name, file) for one in classes for file in cache.files_below(one)]
    if not files:
        raise DataError(f"{path.name} holds no texts: a table, or files in one folder for each class")
    long = [file for _, file in files if file.stat().st_size > MAX_TEXT]
    if long:
        raise DataError(f"{path.name}/{long[0].relative_to(path)} has more than {MAX_TEXT} bytes: no text to classify")
    names = [f"{path.name}/{file.relative_to(path).as_posix()}" for _, file in files]
    labels = [name for name, _ in files]
    texts = [decoded(file.read_bytes(), name) for (_, file), name in zip(files, names, strict=True)]
    return Texts(
        path.name,
        "its folder",
        labels,
        texts,
        settings,
        column,
        names.__getitem__,
        np.array(names),
        labels_are_cells=False,
    )


def decoded(content: bytes, at: str) -> str:
    """A text in UTF-8, or Latin-1 where it is not. Raises DataError, for the file ``at``, for what is no text."""
    if b"\0" in content:
        raise DataError(f"{at} holds a NUL byte: it is not a text in UTF-8 or Latin-1")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
