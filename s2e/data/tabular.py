"""Tables as feature vectors, or as images: one CSV file below the data root.

Means, standard deviations and categories are fitted on the training rows alone, and kept with the models:
:mod:`s2e.data.encoder`. Rows are counted from 1 as they stand in the file, its header included; columns from 0.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.datasets import Dataset
from s2e.data.encoder import TableEncoder, fit_encoder, is_missing, is_number
from s2e.data.own.assemble import Asked, own_dataset
from s2e.data.own.slips import LOOKS_LIKE_AN_ID, N_FOR_ID
from s2e.data.own.source import Indices, Source
from s2e.data.root import file_below, required_root
from s2e.words import CsvSpec, DataError, TrustedSpec

MAX_BYTES = 256 * 2**20
MAX_CELLS = 10_000_000
N_FOR_MISTAKE = 100
"""Numbers of a column for each cell that is none, from which on that cell is a mistake and the column no text."""
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
MOST_NAMED = 8
BLANKS_OF_TEXT = 2
"""From which on a cell is a text to read, and no name."""
"""Columns that an error shows with their value."""
OTHER_FORMATS = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip archive (such as .npz or .xlsx)",
    b"\x93NUMPY": "a NumPy array (.npy)",
    b"\x89HDF": "an HDF5 file",
    b"ARROW1": "an Arrow file",
    b"\x1f\x8b": "gzip-compressed",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
}
"""First bytes of files that are often called .csv and are none."""
Row = list[str]


@dataclass(frozen=True, eq=False)
class Table(Source):
    """One file: its cells by row, without the label's column and others that are not features."""

    file: str
    names: list[str]
    """Of the feature columns: those of the header, or their numbers."""
    label: str
    rows: list[Row]
    labels: list[str]
    first: int
    """Row of the file that the first of ``rows`` is."""
    image: tuple[int, ...] = ()
    aside: Mapping[str, list[str]] = field(default_factory=dict)
    """Columns that are not features, by name."""
    is_strict: bool = True
    """False, as ``csv`` always was: columns of a second file are matched by their order, whatever their names, and a
    column of one value is not a mistake."""

    own_ids: Sequence[str] | None = None
    """The cells of the column of ids, by row; None where the data have no such column."""

    @property
    def input_names(self) -> Sequence[str]:
        return self.names if self.is_strict else list(map(str, range(len(self.names))))

    def where(self, i: int) -> str:
        return f"{self.file}, row {self.first + i}"

    def ids(self) -> NDArray[Any]:
        return np.arange(self.first, self.first + len(self)) if self.own_ids is None else np.array(self.own_ids)

    def column(self, name: str) -> Sequence[str]:
        return self.aside[name] if name in self.aside else super().column(name)

    def fit(self, rows: Indices) -> TableEncoder:
        if self.is_strict:
            _require_variety(self)
            _require_no_ids(self)
        return fit_encoder([self.rows[i] for i in rows], self.names, self.image, self.file)

    def encode(self, fitted: TableEncoder) -> NDArray[Any]:
        return fitted.encode(self.rows, self.file, self.first)

    def missing(self) -> Mapping[str, int]:
        count = {name: sum(is_missing(row[j]) for row in self.rows) for j, name in enumerate(self.names)}
        return {name: n for name, n in count.items() if n}


def load_csv(data_root: str | None, spec: CsvSpec, trusted: TrustedSpec | None = None) -> Dataset:
    """The table that ``spec`` names. Raises DataError, with file, row and column, for one that holds no samples."""
    root = required_root(data_root, "csv", f"the file {spec.path!r}")
    trusted = trusted or TrustedSpec()
    n_columns: list[int] = []

    def open_table(path: str, field: str) -> Table:
        table = _table(file_below(root, path, field), spec, trusted.column, n_columns[0] if n_columns else None)
        n_columns.append(len(table.names) + 1 + len(table.aside))
        return table

    return own_dataset("csv", open_table, Asked(spec.path, spec.test_path, spec.test_share, trusted, "data.csv"))


def _table(path: Path, spec: CsvSpec, trusted: str | None, n_columns: int | None = None) -> Table:
    header, rows = read_table(path, spec, n_columns)
    names = header or [str(j) for j in range(len(rows[0]))]
    at = _label_column(spec, header, len(rows[0]), path.name)
    if header is None:
        _require_no_header(rows, path.name)
    label = f"column {names[at]}"
    return table_of(path.name, names, rows, at, label, 1 if header is None else 2, trusted, spec.image, is_strict=False)


def table_of(
    file: str,
    names: Sequence[str],
    rows: list[Row],
    at: int,
    label: str,
    first: int,
    trusted: str | None,
    image: tuple[int, ...] = (),
    *,
    is_strict: bool = True,
) -> Table:
    """The table, with its label at column ``at`` and the marks of trusted rows moved out of its cells."""
    aside = [j for j, name in enumerate(names) if name == trusted and j != at]
    _require_clean_numbers(rows, names, {at, *aside}, file, first, is_strict=is_strict)
    kept = [j for j in range(len(names)) if j != at and j not in aside]
    labels, columns = [row[at] for row in rows], {names[j]: [row[j] for row in rows] for j in aside}
    rows = [[row[j] for j in kept] for row in rows]
    return Table(file, [names[j] for j in kept], label, rows, labels, first, image, columns, is_strict)


def read_table(
    path: Path, spec: CsvSpec, n_columns: int | None = None, fewest: int = 2
) -> tuple[Row | None, list[Row]]:
    """Header, where there is one, and rows of stripped cells, all equally long. Raises DataError, also for less than
    ``fewest`` rows or columns."""
    _require_text(path)
    delimiter = {"comma": ",", "semicolon": ";", "tab": "\t"}[spec.delimiter]
    rows: list[Row] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True):
                if not row:
                    continue
                n_columns = n_columns or len(row)
                if len(row) != n_columns:
                    raise DataError(f"{path.name}, row {len(rows) + 1}: {len(row)} columns instead of {n_columns}")
                if (len(rows) + 1) * n_columns > MAX_CELLS:
                    raise DataError(f"{path.name} has more than {MAX_CELLS} cells")
                if any("\0" in cell for cell in row):
                    raise DataError(f"{path.name}, row {len(rows) + 1} holds a NUL byte: it is not a table of text")
                rows.append([cell.strip() for cell in row])
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}, after row {len(rows)}: it is not UTF-8, save it as such ({error})") from error
    except csv.Error as error:
        raise DataError(f"{path.name}, after row {len(rows)}: {error}") from error
    header = rows.pop(0) if spec.header and rows else None
    if len(rows) < fewest or n_columns is None or n_columns < fewest:
        hint = f"; is {spec.delimiter} what separates its cells (data.csv.delimiter)?" if n_columns == 1 else ""
        least = f"at least {fewest} of {fewest} are needed{hint}"
        raise DataError(f"{path.name}: {len(rows)} rows of {n_columns or 0} columns; {least}")
    return header, rows


def _require_text(path: Path) -> None:
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path.name} has {path.stat().st_size} bytes, at most {MAX_BYTES} are read")
    with path.open("rb") as file:
        start = file.read(8)
    for magic, what in OTHER_FORMATS.items():
        if start.startswith(magic):
            raise DataError(
                f"{path.name} is {what}, not a table of text: write it as one, for example with pandas "
                "read_...(file).to_csv('table.csv', index=False), and say data.csv.header = true"
            )


def _require_no_header(rows: Sequence[Row], file: str) -> None:
    """A first row of column names that is not declared as such: text above a column that holds only numbers."""
    for j, cell in enumerate(rows[0]):
        below = [row[j] for row in rows[1:] if not is_missing(row[j])]
        if is_missing(cell) or is_number(cell) or len(below) < 2 or not all(map(is_number, below)):
            continue
        raise DataError(
            f"{file}, row 1, column {j}: {cell[:40]!r} above nothing but numbers looks like a column's name; say "
            "data.csv.header = true, or mend the cell"
        )


def _require_clean_numbers(
    rows: Sequence[Row], names: Sequence[str], aside: set[int], file: str, first: int, *, is_strict: bool
) -> None:
    """A column of numbers in which a few cells are none: mistakes, which would turn all of it into categories."""
    for j, name in enumerate(names):
        if j in aside:
            continue
        known = [(i, row[j]) for i, row in enumerate(rows) if not is_missing(row[j])]
        odd = [(i, cell) for i, cell in known if not is_number(cell)]
        if is_strict and odd and all(DECIMAL_COMMA.fullmatch(cell) for _, cell in known):
            raise DataError(
                f"{file}, column {name}: {odd[0][1][:40]!r} is a number with a decimal comma: write points, or leave "
                f"the column out: data.params.exclude = [{name!r}]"
            )
        numbers = [cell for _, cell in known if is_number(cell)]
        measured = is_strict and len(set(numbers)) > max(N_FOR_ID, len(numbers) / 2) and len(numbers) >= 10 * len(odd)
        if odd and (measured or len(numbers) >= N_FOR_MISTAKE * len(odd)):
            i, cell = odd[0]
            raise DataError(
                f"{file}, row {first + i}, column {name}: {cell[:40]!r} among {len(numbers)} numbers "
                f"({len(odd)} such cells): mend them, or empty them to count as missing"
            )


def _label_column(spec: CsvSpec, header: Row | None, n_columns: int, file: str) -> int:
    name = spec.label_column
    if name is None:
        return n_columns - 1
    if header is not None and name in header:
        return header.index(name)
    if name.isdecimal() and int(name) < n_columns:
        return int(name)
    known = ", ".join(header)[:200] if header else f"0..{n_columns - 1}"
    hint = "" if header or name.isdecimal() else f"; if the first row of {file} holds names, say data.csv.header = true"
    raise DataError(f"data.csv.label_column = {name!r}: no such column; known: {known}{hint}")


def _require_variety(table: Table) -> None:
    """A column of one value says nothing; it is often a mistake of an export. All of them are named together."""
    constant = {name: value for j, name in enumerate(table.names) if (value := _only_value(table, j)) is not None}
    if not constant:
        return
    shown = ", ".join(f"{name} ({value[:40]!r})" for name, value in list(constant.items())[:MOST_NAMED])
    more = f" and {len(constant) - MOST_NAMED} more" if len(constant) > MOST_NAMED else ""
    columns = "column" if len(constant) == 1 else "columns"
    raise DataError(
        f"{table.file}, {columns} {shown}{more}: one value in all {len(table.rows)} rows; leave out what says nothing: "
        f"data.params.exclude = {list(constant)}"
    )


def _require_no_ids(table: Table) -> None:
    """Texts, most of which no other row has, tell rows apart and not classes: a name, a date, a key. All such columns
    are named together."""
    n_texts = {name: n for j, name in enumerate(table.names) if (n := _n_own_texts(table, j))}
    if not n_texts:
        return
    shown = ", ".join(f"{name} ({n})" for name, n in list(n_texts.items())[:MOST_NAMED])
    more = f" and {len(n_texts) - MOST_NAMED} more" if len(n_texts) > MOST_NAMED else ""
    column, first = "column" if len(n_texts) == 1 else "columns", next(iter(n_texts))
    raise DataError(
        f"{table.file}, {column} {shown}{more}: different texts in {len(table.rows)} rows look like ids or dates; "
        f"leave them out: data.params.exclude = {list(n_texts)}, or say data.params.id_column = {first!r}"
    )


def _n_own_texts(table: Table, j: int) -> int:
    """The number of different texts of a column where nearly every row has one of its own; 0 elsewhere.

    Raises DataError where they are texts to be read."""
    known = [row[j] for row in table.rows if not is_missing(row[j])]
    n_texts, name = len(set(known)), table.names[j]
    if len(known) < N_FOR_ID or n_texts <= LOOKS_LIKE_AN_ID * len(known) or all(map(is_number, known)):
        return 0
    if median(cell.count(" ") for cell in known) >= BLANKS_OF_TEXT:
        raise DataError(
            f"{table.file}, column {name}: {n_texts} different texts of several words: a data set of texts reads them, "
            f"data.name = 'text' with data.params.text = {name!r}; to leave them out: data.params.exclude = [{name!r}]"
        )
    return n_texts


def _only_value(table: Table, j: int) -> str | None:
    """The value of every row, where it is one and not missing."""
    values = {row[j] for row in table.rows}
    return value if len(values) == 1 and not is_missing(value := values.pop()) else None
