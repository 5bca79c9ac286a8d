"""Tables as feature vectors: one CSV file below the data root, numbers standardised, text columns one-hot.

What is fitted (means, standard deviations, categories) is fitted on the training rows alone.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.datasets import Dataset
from s2e.data.root import file_below, required_root
from s2e.data.splits import stratified
from s2e.words import MAX_CLASSES, CsvSpec, DataError, derive_seed

MAX_BYTES = 256 * 2**20
MAX_CELLS = 10_000_000
MAX_FEATURES = 10_000
MAX_CATEGORIES = 200
MISSING = frozenset({"", "?", "na", "nan", "null"})
Row = list[str]
Column = NDArray[np.float32]


def load_csv(data_root: str | None, spec: CsvSpec) -> Dataset:
    """The table ``spec`` names. Raises DataError for what is no table of samples: file, row and column are named."""
    root = required_root(data_root, "csv", f"the file {spec.path!r}")
    header, rows = read_table(file_below(root, spec.path, "data.csv.path"), spec)
    at = _label_column(spec, header, len(rows[0]))
    labels = [row.pop(at) for row in rows]
    classes = _classes(labels)
    if spec.test_path is None:
        label_S = np.array([classes[label] for label in labels])
        test, train = _test_split(label_S, spec.test_share)
        parts = [([rows[i] for i in index], label_S[index]) for index in (train, test)]
    else:
        _, test_rows = read_table(file_below(root, spec.test_path, "data.csv.test_path"), spec, len(rows[0]) + 1)
        test_labels = [row.pop(at) for row in test_rows]
        if unknown := sorted(set(test_labels) - set(classes)):
            raise DataError(f"{spec.test_path}: label {unknown[0][:40]!r} is not among the training labels")
        parts = [(r, np.array([classes[label] for label in s])) for r, s in ((rows, labels), (test_rows, test_labels))]
    features = encode([part[0] for part in parts])
    tensors = [(torch.from_numpy(f), torch.from_numpy(p[1])) for f, p in zip(features, parts, strict=True)]
    return Dataset("csv", len(classes), 1, *tensors[0], *tensors[1])


def read_table(path: Path, spec: CsvSpec, n_columns: int | None = None) -> tuple[Row | None, list[Row]]:
    """Header, where there is one, and rows of stripped cells, all equally long. Raises DataError."""
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path.name} has {path.stat().st_size} bytes, at most {MAX_BYTES} are read")
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
        raise DataError(f"{path.name}: {len(rows)} rows of {n_columns or 0} columns; at least 2 of 2 are needed")
    return header, rows


def encode(tables: Sequence[Sequence[Row]]) -> list[NDArray[np.float32]]:
    """Feature vectors [S, F] of the training rows and of the others: numbers minus mean over standard deviation
    (missing: 0, the mean), text as one indicator per category (a category unseen in training: all 0)."""
    blocks: list[list[Column]] = [[] for _ in tables]
    n_features = 0
    for j in range(len(tables[0][0])):
        columns = [[row[j] for row in table] for table in tables]
        encoded = _numbers(columns, j) if _is_numeric(columns[0]) else _indicators(columns, j)
        n_features += encoded[0].shape[1]
        if n_features > MAX_FEATURES:
            raise DataError(f"more than {MAX_FEATURES} features up to column {j}")
        for block, column in zip(blocks, encoded, strict=True):
            block.append(column)
    return [np.concatenate(block, axis=1) for block in blocks]


def _numbers(columns: Sequence[Sequence[str]], j: int) -> list[Column]:
    values = [np.array([_number(cell, j) for cell in column]) for column in columns]
    known = values[0][~np.isnan(values[0])]
    mean, deviation = (float(known.mean()), float(known.std())) if len(known) else (0.0, 1.0)
    scale = deviation if deviation > 0 else 1.0
    return [np.nan_to_num((value - mean) / scale, nan=0.0).astype(np.float32)[:, None] for value in values]


def _indicators(columns: Sequence[Sequence[str]], j: int) -> list[Column]:
    categories = np.array(sorted(set(columns[0])))
    if len(categories) > MAX_CATEGORIES:
        raise DataError(f"feature column {j}: {len(categories)} different texts, at most {MAX_CATEGORIES} are encoded")
    return [(np.array(column)[:, None] == categories).astype(np.float32) for column in columns]


def _is_numeric(column: Sequence[str]) -> bool:
    return all(_is_number(cell) for cell in column if cell.lower() not in MISSING)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str, j: int) -> float:
    if cell.lower() in MISSING:
        return math.nan
    if not _is_number(cell) or not math.isfinite(float(cell)):
        raise DataError(f"feature column {j}: {cell[:40]!r} is not a finite number")
    return float(cell)


def _label_column(spec: CsvSpec, header: Row | None, n_columns: int) -> int:
    name = spec.label_column
    if name is None:
        return n_columns - 1
    if header is not None and name in header:
        return header.index(name)
    if name.isdecimal() and int(name) < n_columns:
        return int(name)
    known = ", ".join(header)[:200] if header else f"0..{n_columns - 1}"
    raise DataError(f"data.csv.label_column = {name!r}: no such column; known: {known}")


def _classes(labels: Sequence[str]) -> dict[str, int]:
    """Class number of each label: whole numbers in their order, text in alphabetical order."""
    distinct = set(labels)
    if missing := sorted(label for label in distinct if label.lower() in MISSING):
        raise DataError(f"row {labels.index(missing[0]) + 1} has no label: {missing[0]!r}")
    if not 2 <= len(distinct) <= MAX_CLASSES:
        raise DataError(f"{len(distinct)} different labels, 2 to {MAX_CLASSES} are allowed")
    whole = all(label.isdecimal() for label in distinct)
    return {label: c for c, label in enumerate(sorted(distinct, key=(lambda s: (int(s), s)) if whole else None))}


def _test_split(label_S: NDArray[np.int64], test_share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stratified test rows, and the rest: the same for every split seed, so that jobs are tested alike."""
    n_test = min(max(1, round(test_share * len(label_S))), len(label_S) - 1)
    return stratified(label_S, n_test, np.random.default_rng(derive_seed("csv", "test split")))
