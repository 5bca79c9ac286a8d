"""Tables as feature vectors, or as images: one CSV file below the data root.

What is fitted (means, standard deviations, categories) is fitted on the training rows alone, and kept with the models:
:mod:`s2e.data.encoder`. Rows are counted from 1 as they stand in the file, its header included; columns from 0.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.datasets import Dataset
from s2e.data.encoder import fit_encoder, is_missing, is_number
from s2e.data.root import file_below, required_root
from s2e.data.splits import stratified
from s2e.words import MAX_CLASSES, CsvSpec, DataError, derive_seed

MAX_BYTES = 256 * 2**20
MAX_CELLS = 10_000_000
LOOKS_LIKE_AN_ID = 0.5
"""Share of the rows that have a label of their own from which on the column is no label; from N_FOR_ID rows on."""
N_FOR_ID = 20
N_FOR_MISTAKE = 100
"""Numbers of a column for each cell that is none, from which on that cell is a mistake and the column no text."""
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


@dataclass(frozen=True)
class Table:
    """One file: its cells by row, the label's column taken out."""

    file: str
    names: list[str]
    """Of the feature columns: those of the header, or their numbers."""
    label: str
    rows: list[Row]
    labels: list[str]
    first: int
    """Row of the file that the first of ``rows`` is."""


def load_csv(data_root: str | None, spec: CsvSpec) -> Dataset:
    """The table ``spec`` names. Raises DataError for what is no table of samples: file, row and column are named."""
    root = required_root(data_root, "csv", f"the file {spec.path!r}")
    table = _table(file_below(root, spec.path, "data.csv.path"), spec)
    classes = _classes(table)
    label_S = np.array([classes[label] for label in table.labels])
    ids = np.arange(table.first, table.first + len(label_S))
    if spec.test_path is None:
        test, train = _test_split(label_S, spec.test_share)
        encoder = fit_encoder([table.rows[i] for i in train], table.names, spec.image, table.file)
        features = encoder.encode(table.rows, table.file, table.first)
        parts = [(features[index], label_S[index]) for index in (train, test)]
        ids = ids[train]
    else:
        other = _table(file_below(root, spec.test_path, "data.csv.test_path"), spec, len(table.names) + 1)
        _require_same_labels(other, classes)
        encoder = fit_encoder(table.rows, table.names, spec.image, table.file)
        test_label_S = np.array([classes[label] for label in other.labels])
        parts = [
            (encoder.encode(table.rows, table.file, table.first), label_S),
            (encoder.encode(other.rows, other.file, other.first), test_label_S),
        ]
    train_part, test_part = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in parts]
    max_value = max(1, int(train_part[0].max())) if spec.image else 1
    return Dataset("csv", len(classes), max_value, *train_part, *test_part, encoder, tuple(classes), ids)


def _table(path: Path, spec: CsvSpec, n_columns: int | None = None) -> Table:
    header, rows = read_table(path, spec, n_columns)
    at = _label_column(spec, header, len(rows[0]), path.name)
    names = header or [str(j) for j in range(len(rows[0]))]
    first = 1 if header is None else 2
    if header is None:
        _require_no_header(rows, path.name)
    _require_clean_numbers(rows, names, at, path.name, first)
    labels = [row.pop(at) for row in rows]
    features = [name for j, name in enumerate(names) if j != at]
    return Table(path.name, features, names[at], rows, labels, first)


def read_table(path: Path, spec: CsvSpec, n_columns: int | None = None) -> tuple[Row | None, list[Row]]:
    """Header, where there is one, and rows of stripped cells, all equally long. Raises DataError."""
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
                rows.append([cell.strip() for cell in row])
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path.name}, after row {len(rows)}: {error}") from error
    header = rows.pop(0) if spec.header and rows else None
    if len(rows) < 2 or n_columns is None or n_columns < 2:
        hint = f"; is {spec.delimiter} what separates its cells (data.csv.delimiter)?" if n_columns == 1 else ""
        raise DataError(f"{path.name}: {len(rows)} rows of {n_columns or 0} columns; at least 2 of 2 are needed{hint}")
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
    """A first row of column names that nobody declared: text above a column that holds numbers alone."""
    for j, cell in enumerate(rows[0]):
        below = [row[j] for row in rows[1:] if not is_missing(row[j])]
        if is_missing(cell) or is_number(cell) or len(below) < 2 or not all(map(is_number, below)):
            continue
        raise DataError(
            f"{file}, row 1, column {j}: {cell[:40]!r} above nothing but numbers looks like a column's name; say "
            "data.csv.header = true, or mend the cell"
        )


def _require_clean_numbers(rows: Sequence[Row], names: Sequence[str], at: int, file: str, first: int) -> None:
    """A column of numbers in which a few cells are none: mistakes, which would turn all of it into categories."""
    for j, name in enumerate(names):
        if j == at:
            continue
        known = [(i, row[j]) for i, row in enumerate(rows) if not is_missing(row[j])]
        odd = [(i, cell) for i, cell in known if not is_number(cell)]
        if odd and (len(known) - len(odd)) >= N_FOR_MISTAKE * len(odd):
            i, cell = odd[0]
            raise DataError(
                f"{file}, row {first + i}, column {name}: {cell[:40]!r} among {len(known) - len(odd)} numbers "
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


def _classes(table: Table) -> dict[str, int]:
    """Class number of each label: whole numbers in their order, text in alphabetical order."""
    labels, distinct = table.labels, set(table.labels)
    if missing := [i for i, label in enumerate(labels) if is_missing(label)]:
        raise DataError(
            f"{table.file}, row {table.first + missing[0]} has no label: {labels[missing[0]]!r} in column "
            f"{table.label} ({len(missing)} such rows): fill it in, or leave the row out"
        )
    if len(labels) >= N_FOR_ID and len(distinct) > LOOKS_LIKE_AN_ID * len(labels):
        raise DataError(
            f"{table.file}, column {table.label}: {len(distinct)} different labels in {len(labels)} rows look like an "
            "id or a measurement; say which column holds the class (data.csv.label_column)"
        )
    if not 2 <= len(distinct) <= MAX_CLASSES:
        said = f"{len(distinct)} different labels, 2 to {MAX_CLASSES} are allowed"
        raise DataError(f"{table.file}, column {table.label}: {said}")
    _require_rows_of_each(table)
    whole = all(label.isdecimal() for label in distinct)
    return {label: c for c, label in enumerate(sorted(distinct, key=(lambda s: (int(s), s)) if whole else None))}


def _require_rows_of_each(table: Table) -> None:
    """Classes of one row beside larger ones: such a row cannot both train and test, and is often a slip."""
    count = Counter(table.labels)
    single = [label for label, n in count.items() if n == 1]
    if single and len(table.labels) >= N_FOR_ID:
        row = table.first + table.labels.index(single[0])
        hint = "; if it holds column names, say data.csv.header = true" if row == 1 else ""
        raise DataError(
            f"{table.file}, row {row}: the only one of class {single[0][:40]!r} ({len(single)} such classes): add rows "
            f"of it, mend the label, or leave the row out{hint}"
        )


def _require_same_labels(test: Table, classes: dict[str, int]) -> None:
    unknown = [i for i, label in enumerate(test.labels) if label not in classes]
    if not unknown:
        return
    label = test.labels[unknown[0]]
    close = get_close_matches(label, classes, n=1, cutoff=0.5)
    hint = f"; is it {close[0]!r}? Both files have to write a class alike" if close else ""
    raise DataError(
        f"{test.file}, row {test.first + unknown[0]}, column {test.label}: label {label[:40]!r} is not among the "
        f"training labels ({len(unknown)} such rows){hint}"
    )


def _test_split(label_S: NDArray[np.int64], test_share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stratified test rows, and the rest: the same for every split seed, so that jobs are tested alike."""
    n_test = min(max(1, round(test_share * len(label_S))), len(label_S) - 1)
    return stratified(label_S, n_test, np.random.default_rng(derive_seed("csv", "test split")))
