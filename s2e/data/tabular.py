"""Tables as feature vectors, or as images: one CSV file below the data root.

Means, standard deviations and categories are fitted on the training rows alone, and kept with the models:
:mod:`s2e.data.encoder`. Rows are counted from 1 as they stand in the file, its header included; columns from 0.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.cell_forms import WORDS
from s2e.data.datasets import Dataset
from s2e.data.encoder import TableEncoder, fit_encoder, is_missing, is_number
from s2e.data.own.assemble import Asked, own_dataset
from s2e.data.own.columns import left_out_of, require_no_ids, texts_of
from s2e.data.own.forms import forms_of
from s2e.data.own.slips import N_FOR_ID
from s2e.data.own.source import Indices, Source
from s2e.data.own.terms import TextSettings, fitted
from s2e.data.root import file_below, required_root
from s2e.words import CsvSpec, DataError, TrustedSpec, replace

MAX_BYTES = 256 * 2**20
MAX_CELLS = 10_000_000
CHUNK = 2**20
N_FOR_MISTAKE = 100
"""Numbers of a column for each cell that is none, from which on that cell is a mistake and the column no text."""
N_TERMS, ALONE, BESIDE_OTHERS = 5_000, 256, 64
"""Of a column of texts the most frequent terms that count, and their singular vectors, beside other columns fewer."""
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
UTF8, UTF16, WINDOWS = "utf-8-sig", "utf-16", "cp1252"
ENCODINGS = {UTF8: "UTF-8", UTF16: "UTF-16", WINDOWS: "Windows-1252 (Latin-1)"}
"""Of files of text: UTF-16 where it begins so, and otherwise what UTF-8 cannot be."""
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
    column of one value is a feature."""

    forms: Mapping[str, str] = field(default_factory=dict)
    """Of columns of dates, and of numbers as people write them: see :mod:`s2e.data.cell_forms`."""
    encoding: str = UTF8
    """Of the file's text."""
    own_ids: Sequence[str] | None = None
    """The cells of the column of ids, by row; None where the data have no such column."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Columns that tell no class from another and are no features, by name, with the reason."""
    texts: Sequence[str] = ()
    """Names of columns of texts of several words, whose terms are features."""

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
            require_no_ids(self._cells(), {*self.left_out, *self.forms, *self.texts}, self.file)
        kept = [j for j, name in enumerate(self.names) if name not in self.left_out]
        if not kept:
            raise DataError(f"{self.file} has no column to tell classes apart by; {'; '.join(self.left_out.values())}")
        cells = [[self.rows[i][j] for j in kept] for i in rows]
        names = [self.names[j] for j in kept]
        words = [name for name in names if name in self.texts]
        n_vectors = BESIDE_OTHERS if len(words) < len(names) else ALONE
        settings = TextSettings("tfidf", 1, N_TERMS, n_vectors)
        texts = [fitted(self.file, [row[names.index(name)] for row in cells], settings, name) for name in words]
        encoder = fit_encoder(cells, names, self.image, self.file, self.forms, texts)
        return replace(encoder, all_names=tuple(self.names)) if self.left_out else encoder

    def encode(self, fitted: TableEncoder) -> NDArray[Any]:
        rows = list(map(fitted.picked, self.rows)) if fitted.all_names else self.rows
        return fitted.encode(rows, self.file, self.first)

    def _cells(self) -> dict[str, list[str]]:
        """The cells of each column."""
        return {name: [row[j] for row in self.rows] for j, name in enumerate(self.names)}

    def missing(self) -> Mapping[str, int]:
        count = {
            name: sum(map(is_missing, cells)) for name, cells in self._cells().items() if name not in self.left_out
        }
        return {name: n for name, n in count.items() if n}

    def notes(self) -> Sequence[str]:
        columns = [f"column {name}: {WORDS[form]}" for name, form in self.forms.items()]
        encoding = [] if self.encoding == UTF8 else [f"{self.file} is read as {ENCODINGS[self.encoding]}, not as UTF-8"]
        texts = [
            f"column {name}: texts, of which the words count (exclude = {[name]} leaves it out)" for name in self.texts
        ]
        return [*columns, *texts, *self.left_out.values(), *encoding]


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
    decimal: str = "auto",
    by_comma: bool = False,
    encoding: str = UTF8,
    row_numbers: str = "leave_out",
) -> Table:
    """The table, with its label at column ``at`` and the marks of trusted rows moved out of its cells. Where it
    ``is_strict`` its columns may hold dates, and numbers as people write them, with this ``decimal`` mark, and those
    that tell no class from another are left out."""
    aside = [j for j, name in enumerate(names) if name == trusted and j != at]
    kept = [j for j in range(len(names)) if j != at and j not in aside]
    forms, left_out, texts = dict[str, str](), dict[str, str](), list[str]()
    if is_strict:
        columns = {names[j]: [row[j] for row in rows] for j in kept}
        left_out = left_out_of(columns, keeps_numbers=row_numbers == "keep")
        columns = {name: cells for name, cells in columns.items() if name not in left_out}
        texts = texts_of(columns)
        columns = {name: cells for name, cells in columns.items() if name not in texts}
        forms = forms_of(columns, decimal, by_comma=by_comma, file=file, first=first)
    formed = {j for j in kept if names[j] in {*forms, *left_out, *texts}}
    _require_clean_numbers(rows, names, {at, *aside, *formed}, file, first, is_strict=is_strict)
    labels, marks = [row[at] for row in rows], {names[j]: [row[j] for row in rows] for j in aside}
    rows = [[row[j] for j in kept] for row in rows]
    kept_names = [names[j] for j in kept]
    table = Table(file, kept_names, label, rows, labels, first, image, marks, is_strict, forms, encoding)
    return replace(table, left_out=left_out, texts=texts)


def read_table(
    path: Path, spec: CsvSpec, n_columns: int | None = None, fewest: int = 2
) -> tuple[Row | None, list[Row]]:
    """Header, where there is one, and rows of stripped cells, all equally long. Raises DataError, also for less than
    ``fewest`` rows or columns."""
    _require_text(path)
    delimiter = {"comma": ",", "semicolon": ";", "tab": "\t"}[spec.delimiter]
    rows: list[Row] = []
    try:
        with path.open(encoding=encoding_of(path), newline="") as file:
            for row in csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True):
                if not row:
                    continue
                n_columns = n_columns or len(row)
                rows.append(_cells_in(row, n_columns, path.name, len(rows) + 1))
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}, after row {len(rows)}: it is not UTF-8, save it as such ({error})") from error
    except csv.Error as error:
        raise DataError(f"{path.name}, after row {len(rows)}: {error}") from error
    while n_columns and n_columns > 1 and rows and all(not row[-1] for row in rows):
        rows, n_columns = [row[:-1] for row in rows], n_columns - 1  # the same, in every line
    header = rows.pop(0) if spec.header and rows else None
    if len(rows) < fewest or n_columns is None or n_columns < fewest:
        hint = f"; is {spec.delimiter} what separates its cells (data.csv.delimiter)?" if n_columns == 1 else ""
        least = f"at least {fewest} of {fewest} are needed{hint}"
        raise DataError(f"{path.name}: {len(rows)} rows of {n_columns or 0} columns; {least}")
    return header, rows


def _cells_in(row: Row, n_columns: int, file: str, number: int) -> Row:
    """The stripped cells of a row, without an empty one that ends it. Raises DataError for more or fewer of them."""
    cells = [cell.strip() for cell in row]
    if len(cells) == n_columns + 1 and not cells[-1]:
        cells.pop()
    if len(cells) != n_columns:
        raise DataError(f"{file}, row {number}: {len(cells)} columns instead of {n_columns}")
    if number * n_columns > MAX_CELLS:
        raise DataError(f"{file} has more than {MAX_CELLS} cells")
    if any("\0" in cell for cell in cells):
        raise DataError(f"{file}, row {number} holds a NUL byte: it is not a table of text")
    return cells


def encoding_of(path: Path) -> str:
    """The encoding of a file of text, one of :data:`ENCODINGS`; UTF-8 too where it can be none of them."""
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return UTF16
    return next((encoding for encoding in (UTF8, WINDOWS) if _is_read_as(path, encoding)), UTF8)


def _is_read_as(path: Path, encoding: str) -> bool:
    try:
        with path.open(encoding=encoding) as file:
            while file.read(CHUNK):
                pass
    except UnicodeDecodeError:
        return False
    return True


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
