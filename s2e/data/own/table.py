"""Tables of your own in any format: rows of numbers and texts, texts to classify, vectors made by another network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.datasets import Dataset
from s2e.data.encoders import NumberEncoder
from s2e.data.own.assemble import Asked, own_dataset
from s2e.data.own.source import Indices, Source
from s2e.data.own.tables import Frame, path_below, read_frame, splits_of
from s2e.data.root import required_root
from s2e.data.rows import Samples, all_alike, not_finite, samples
from s2e.data.tabular import Table, table_of
from s2e.words import DataError, TrustedSpec, replace

Open = Callable[[Path], Source]


def load_table(
    data_root: str | None,
    trusted: TrustedSpec,
    *,
    label: str,
    id_column: str | None,
    exclude: Sequence[str],
    decimal: str,
    row_numbers: str,
    **read: Any,
) -> Dataset:
    """Columns of numbers and texts. Raises DataError: file, row and column are named."""
    aside = {name for name in (id_column, *exclude) if name is not None}

    def open_table(frame: Frame) -> Source:
        _require_no_id_twice(frame, id_column)
        table = _cells_of(frame, label, aside, trusted.column, decimal, row_numbers)
        return table if id_column is None else replace(table, own_ids=frame.cells(id_column, "data.params.id_column"))

    return load_frames(data_root, "table", trusted, open_table, read)


def load_embeddings(data_root: str | None, trusted: TrustedSpec, *, label: str, column: str, **read: Any) -> Dataset:
    """A column of vectors, standardised. Raises DataError: file, row and column are named."""
    return load_frames(data_root, "embeddings", trusted, lambda frame: Vectors(frame, label, column), read)


def load_frames(
    data_root: str | None,
    name: str,
    trusted: TrustedSpec,
    open_frame: Callable[[Frame], Source],
    read: Mapping[str, Any],
) -> Dataset:
    """A data set whose sources are tables; a Hugging Face folder with the splits train and test has both."""
    return load_paths(
        data_root,
        name,
        trusted,
        lambda path: open_frame(read_frame(path, header=read["header"], delimiter=read["delimiter"])),
        read,
    )


def load_paths(
    data_root: str | None, name: str, trusted: TrustedSpec, open_path: Open, read: Mapping[str, Any]
) -> Dataset:
    """A data set whose sources are files or folders below the data root."""
    root = required_root(data_root, name, f"{read['path']!r}")
    path, test_path = with_splits(root, read["path"], read["test_path"])
    asked = Asked(path, test_path, read["test_share"], trusted, label_case=read["label_case"])
    return own_dataset(name, lambda relative, field: open_path(path_below(root, relative, field)), asked)


def with_splits(root: Path, path: str, test_path: str | None) -> tuple[str, str | None]:
    """Paths of the training and the test source, where a folder holds both. Raises DataError without ``train``."""
    folder = path_below(root, path, "data.params.path")
    splits = splits_of(folder)
    if not splits:
        return path, test_path
    if "train" not in splits:
        raise DataError(f"{folder.name} holds the splits {', '.join(splits)}; say which one trains: {path}/SPLIT")
    return f"{path}/train", test_path or (f"{path}/test" if "test" in splits else None)


# --- cells ------------------------------------------------------------------------------------------------------------


def _cells_of(frame: Frame, label: str, aside: set[str], trusted: str | None, decimal: str, row_numbers: str) -> Table:
    at = _label_at(frame, label)
    frame.cells(frame.names[at], "data.params.label")
    for name in sorted(aside):
        frame.at(name, "data.params.exclude")
    names = [name for name in frame.names if name not in aside]
    columns = [_plain_cells(frame, name) for name in names]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return table_of(
        frame.file,
        names,
        rows,
        names.index(frame.names[at]),
        f"column {frame.names[at]}",
        frame.first,
        trusted,
        decimal=decimal,
        by_comma=frame.by_comma,
        encoding=frame.encoding,
        row_numbers=row_numbers,
    )


def _plain_cells(frame: Frame, name: str) -> list[str]:
    """Raises DataError, with what reads them, where a column holds vectors or files."""
    column = frame.columns[frame.at(name, "data.params.exclude")]
    if isinstance(column, np.ndarray):
        holds, remedy = "vectors", f"data.name = 'embeddings' with data.params.column = {name!r} reads them"
    elif any(isinstance(cell, bytes) for cell in column):
        holds, remedy = "files", f"data.name = 'image_table' with data.params.image = {name!r} reads images"
    else:
        return frame.cells(name, "data.params.exclude")
    left_out = f"to leave it out: data.params.exclude = [{name!r}]"
    raise DataError(f"{frame.file}, column {name} holds {holds}: {remedy}; {left_out}")


def _label_at(frame: Frame, label: str) -> int:
    """The column that holds the class: the one named, else the last."""
    return frame.at(label, "data.params.label") if label else len(frame.names) - 1


def _require_no_id_twice(frame: Frame, name: str | None) -> None:
    if name is None:
        return
    cells = frame.cells(name, "data.params.id_column")
    if "" in cells:
        raise DataError(
            f"{frame.where(cells.index(''))}, column {name}: no id ({cells.count('')} such rows): fill it in"
        )
    twice = [cell for cell, n in Counter(cells).items() if n > 1]
    if twice:
        i, j = [i for i, cell in enumerate(cells) if cell == twice[0]][:2]
        raise DataError(
            f"{frame.where(j)}, column {name}: id {twice[0][:40]!r} is that of row {frame.first + i} too "
            f"({len(twice)} such ids): leave one of them out"
        )


# --- vectors ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Vectors(Source):
    """Rows that are vectors already, such as the embeddings of a pretrained network."""

    frame: Frame
    label_column: str
    column_: str

    @property
    def file(self) -> str:  # type: ignore[override]
        return self.frame.file

    @property
    def label(self) -> str:  # type: ignore[override]
        return f"column {self.frame.names[_label_at(self.frame, self.label_column)]}"

    @property
    def labels(self) -> Sequence[str]:  # type: ignore[override]
        return self.frame.cells(self.frame.names[_label_at(self.frame, self.label_column)], "data.params.label")

    @property
    def input_names(self) -> Sequence[str]:
        return [f"{self.column_}[{self._vectors().shape[1]}]"]

    def where(self, i: int) -> str:
        return self.frame.where(i)

    def ids(self) -> NDArray[Any]:
        return self.frame.ids()

    def column(self, name: str) -> Sequence[str]:
        return self.frame.cells(name, "data.trusted.column")

    def fit(self, rows: Indices) -> NumberEncoder:
        return NumberEncoder.of_rows(self._vectors(), rows)

    def encode(self, fitted: NumberEncoder) -> NDArray[Any]:
        return fitted.encode(self._vectors())

    def samples(self, fitted: NumberEncoder) -> Samples:
        return samples(self._vectors(), fitted.encode)

    def _vectors(self) -> NDArray[Any]:
        x = self.frame.columns[self.frame.at(self.column_, "data.params.column")]
        if not isinstance(x, np.ndarray):
            raise DataError(f"data.params.column = {self.column_!r}: {self.file} holds no vectors there")
        if not x.shape[1] or all_alike(x):
            what = "no numbers" if not x.shape[1] else "the same numbers in all rows"
            raise DataError(f"{self.file}, column {self.column_} holds {what}: there is nothing to tell classes apart")
        bad = not_finite(x)
        if len(bad):
            row = self.where(int(bad[0]))
            raise DataError(f"{row}, column {self.column_}: not finite numbers ({len(bad)} such rows)")
        return x
