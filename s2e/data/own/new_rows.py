"""New rows in files, as a model reads them: a table, a folder of images or of texts, arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.encoder import TableEncoder
from s2e.data.encoders import NumberEncoder, TextEncoder
from s2e.data.inputs import Inputs
from s2e.data.own import cache
from s2e.data.own.array_files import read_samples
from s2e.data.own.images import may_be_image
from s2e.data.own.tables import Frame, read_frame
from s2e.data.own.text import decoded
from s2e.words import DataError, replace

Rows = tuple[Sequence[Any], Any]
"""Their ids, and the rows as :meth:`s2e.model.Model.predict_proba` takes them."""
ARRAYS = (".npy", ".npz")


def rows_in(path: Path, inputs: Inputs, id_column: str | None = None) -> Rows:
    """The rows of a file or folder for a model with these inputs, and how their owner finds each again: by
    ``id_column`` of a table, else by the number of the row or the name of the file.

    Raises DataError for a path that is not there or holds something else.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    encoder = inputs.of_rows
    if isinstance(encoder, TableEncoder):
        return _cells(path, encoder, id_column)
    if isinstance(encoder, TextEncoder):
        return _texts(path, encoder, id_column)
    if encoder is None or _is_arrays(path):
        x = read_samples(path)
        return range(len(x)), x
    if isinstance(encoder, NumberEncoder):
        return _numbers(path, len(encoder.mean), id_column)
    names, files = ([path.name], [path]) if path.is_file() else _files(path)
    return names, files


def _is_arrays(path: Path) -> bool:
    return path.suffix in ARRAYS or (path / "X.npy").is_file()


def _ids(frame: Frame, column: str | None) -> Sequence[Any]:
    ids: Sequence[Any] = frame.ids().tolist() if column is None else frame.cells(column, "--id-column")
    return ids


def _cells(path: Path, encoder: TableEncoder, id_column: str | None) -> Rows:
    """The columns that the model was trained on, in its order; the table may have more."""
    names = [column.name for column in encoder.columns]
    is_numbered = all(name.isdigit() for name in names)
    frame = read_frame(path, header=not is_numbered, fewest=1)
    frame = _with_header(frame, names) if is_numbered else frame
    if missing := [name for name in names if name not in frame.names]:
        raise DataError(f"{frame.file} has no column {missing[0]!r}, which the model was trained on")
    columns = [frame.cells(name, "column") for name in names]
    return _ids(frame, id_column), list(zip(*columns, strict=True))


def _with_header(frame: Frame, names: Sequence[str]) -> Frame:
    """A table read without a header, unless numbers are the names of its columns, which are in its first row then."""
    first = [column[0] if isinstance(column, list) else "" for column in frame.columns]
    if len(frame) < 2 or not set(names) <= set(first):
        return frame
    return replace(frame, names=first, columns=[column[1:] for column in frame.columns], first=frame.first + 1)


def _texts(path: Path, encoder: TextEncoder, id_column: str | None) -> Rows:
    """Cells of the column that the model was trained on, or the files of a folder."""
    if path.is_dir() and not any(path.glob("*.arrow")) and not any(path.glob("*.parquet")):
        names, files = _files(path)
        return names, [decoded(file.read_bytes(), name) for name, file in zip(names, files, strict=True)]
    frame = read_frame(path, fewest=1)
    return _ids(frame, id_column), frame.cells(encoder.column, "column")


def _numbers(path: Path, n_features: int, id_column: str | None) -> Rows:
    """The one column of vectors of a table, or all its columns, each a feature, but the one of ids."""
    frame = read_frame(path, fewest=1)
    vectors = [column for column in frame.columns if isinstance(column, np.ndarray) and column.ndim == 2]
    if len(vectors) == 1:
        return _ids(frame, id_column), vectors[0]
    names = [name for name in frame.names if name != id_column]
    if len(names) != n_features:
        raise DataError(f"{frame.file} has {len(names)} columns, the model was trained on {n_features} features")
    return _ids(frame, id_column), _floats(frame, names)


def _floats(frame: Frame, names: Sequence[str]) -> NDArray[np.float64]:
    columns = [frame.cells(name, "column") for name in names]
    try:
        return np.array(columns, dtype=np.float64).T
    except ValueError as error:
        raise DataError(f"{frame.file}: {error}: the model was trained on numbers") from error


def _files(folder: Path) -> tuple[list[str], list[Path]]:
    files = [file for file in cache.files_below(folder) if may_be_image(file)]
    if not files:
        raise DataError(f"{folder} holds no file")
    return [file.relative_to(folder).as_posix() for file in files], files
