"""A table's rows as feature vectors, by an encoder fitted on its training rows: plain JSON, kept with every model.

Numbers minus mean over deviation (missing: 0, the mean), text as one indicator per category (a category unseen in
training: all 0), texts of several words by their terms; or, where rows are images, pixels as they are. S rows, F
features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.cell_forms import WORDS, number_in
from s2e.data.encoders import TextEncoder
from s2e.words import DataError

MAX_FEATURES = 10_000
MAX_CATEGORIES = 200
MAX_PIXEL = 255
LARGEST = 1e30
"""Of a number, so that squares of numbers can be added: standardising ends there."""
MISSING = frozenset({"", "?", "na", "nan", "null"})
Cells = Sequence[str]


@dataclass(frozen=True)
class EncodedColumn:
    """One column that is not the label, as its training rows have it."""

    name: str
    """Of the header; without one, its number from 0."""
    kind: str
    """number, text, words or pixel."""
    mean: float = 0.0
    scale: float = 1.0
    """Numbers are divided by it: the standard deviation, or 1 for a constant column."""
    categories: tuple[str, ...] = ()
    form: str = ""
    """Of numbers as people write them, and of dates: see :mod:`s2e.data.cell_forms`. Empty for plain numbers."""


@dataclass(frozen=True)
class TableEncoder:
    """The columns of a table but its label, in their order."""

    columns: tuple[EncodedColumn, ...]
    image: tuple[int, ...] = ()
    """(D, H, W) where a row is an image."""
    all_names: tuple[str, ...] = ()
    """Of the columns of the table, where some of them are no features; empty where all are."""
    texts: tuple[TextEncoder, ...] = ()
    """Of the columns of words, by their name."""

    def picked(self, row: Cells) -> Cells:
        """The cells that are features, of a row of the whole table; a row of them alone as it is."""
        if len(row) != len(self.all_names):
            return row
        return [row[j] for j in self._at]

    @cached_property
    def _at(self) -> Sequence[int]:
        """Where the features are among all columns."""
        place = {name: j for j, name in enumerate(self.all_names)}
        return [place[column.name] for column in self.columns]

    def encode(self, rows: Sequence[Cells], origin: str = "", first: int = 1) -> NDArray[Any]:
        """Features float32 [S, F], or pixels uint8 [S, D, H, W]. Raises DataError that names ``origin``, the row
        counted from ``first``, and the column."""
        at = f"{origin}, " if origin else ""
        blocks = [self._encode(j, [row[j] for row in rows], at, first) for j in range(len(self.columns))]
        if self.image:
            return np.asarray(np.concatenate(blocks, axis=1).astype(np.uint8).reshape(len(rows), *self.image))
        return np.asarray(np.concatenate(blocks, axis=1), dtype=np.float32)

    def _encode(self, j: int, cells: Cells, at: str, first: int) -> NDArray[Any]:
        column = self.columns[j]
        if column.kind == "words":
            (words,) = (each for each in self.texts if each.column == column.name)
            return words.encode(["" if is_missing(cell) else cell for cell in cells])
        if column.kind == "text":
            return np.asarray(np.array(cells)[:, None] == np.array(column.categories), dtype=np.float32)
        number_S = np.array([_number(cell, column.form) for cell in cells])
        if column.kind == "pixel":
            bad_S = ~((number_S >= 0) & (number_S <= MAX_PIXEL) & (number_S == np.floor(number_S)))
            wanted = f"a whole number from 0 to {MAX_PIXEL}, a pixel"
        else:
            bad_S, wanted = np.isinf(number_S), f"a finite number of at most {LARGEST:g}"
            wanted = f"among the {WORDS[column.form]}, that the column holds" if column.form else wanted
        if bad_S.any():
            i = int(bad_S.argmax())
            raise DataError(f"{at}row {first + i}, column {column.name}: {cells[i][:40]!r} is not {wanted}")
        if column.kind == "pixel":
            return number_S[:, None]
        return np.nan_to_num((number_S - column.mean) / column.scale, nan=0.0)[:, None]

    def samples_of(self, rows: Any) -> NDArray[Any]:
        """New rows, see :meth:`cells_of`, encoded. Raises DataError for none, and for rows that do not fit."""
        cells = self.cells_of(rows)
        if not cells:
            raise DataError("no row to predict")
        return self.encode(cells, first=0)

    def cells_of(self, rows: Any) -> list[list[str]]:
        """Rows as a user has them, a data frame, mappings by column or sequences in their order, as cells of text.

        A mapping may have more columns, such as the label. Raises DataError for a row without one of them.
        """
        if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
            rows = rows.to_dict("records")
        return [self._cells(row, i) for i, row in enumerate(rows)]

    def _cells(self, row: Any, i: int) -> list[str]:
        names = [column.name for column in self.columns]
        if isinstance(row, Mapping):
            by_name = {str(name): cell for name, cell in row.items()}
            if missing := [name for name in names if name not in by_name]:
                raise DataError(f"row {i}: no column {missing[0]!r}; the model needs {_listed(names)}")
            return [_text(by_name[column.name], column.form) for column in self.columns]
        if isinstance(row, str) or not hasattr(row, "__len__"):
            raise DataError(f"row {i}: {str(row)[:40]!r} is not a row; give a list of rows")
        if len(row := self.picked(row)) != len(names):
            raise DataError(f"row {i}: {len(row)} cells instead of {len(names)}: {_listed(names)}")
        return [_text(cell, column.form) for cell, column in zip(row, self.columns, strict=True)]


def fit_encoder(
    rows: Sequence[Cells],
    names: Sequence[str],
    image: tuple[int, ...] = (),
    origin: str = "",
    forms: Mapping[str, str] | None = None,
    texts: Sequence[TextEncoder] = (),
) -> TableEncoder:
    """The encoder fitted to the training rows, whose columns have these ``forms``, and those of words these encoders of
    ``texts``. Raises DataError for a column that cannot be encoded."""
    if image:
        if math.prod(image) != len(names):
            shape = " x ".join(map(str, image))
            raise DataError(f"data.csv.image = {shape}: {math.prod(image)} pixels, but {len(names)} feature columns")
        return TableEncoder(tuple(EncodedColumn(name, "pixel") for name in names), image)
    columns, n_features, words = [], 0, {text.column for text in texts}
    for j, name in enumerate(names):
        if name in words:
            columns.append(EncodedColumn(name, "words"))
            continue
        form = (forms or {}).get(name, "")
        column = _fit_column(name, [row[j] for row in rows], f"{origin}, " if origin else "", form)
        columns.append(column)
        n_features += len(column.categories) or 1
        if n_features > MAX_FEATURES:
            raise DataError(f"more than {MAX_FEATURES} features up to column {name}")
    return TableEncoder(tuple(columns), texts=tuple(texts))


def is_number(cell: str) -> bool:
    """True if Python reads it as a float, NaN and infinity included."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def is_missing(cell: str) -> bool:
    return cell.lower() in MISSING


def is_nothing(cell: Any) -> bool:
    """True for None, NaN and what pandas has for them, in a row that somebody hands over."""
    try:
        return cell is None or bool(cell != cell)
    except TypeError:  # pandas.NA is neither true nor false
        return True


def _fit_column(name: str, cells: Cells, at: str, form: str) -> EncodedColumn:
    known = [cell for cell in cells if not is_missing(cell)]
    excluded = f"data.params.exclude = [{name!r}]"
    if not known:
        raise DataError(f"{at}column {name}: every training cell is empty; leave the column out: {excluded}")
    if form or all(is_number(cell) for cell in known):
        # NaN and infinity are named, with their row, where the cells are encoded
        numbers = np.array([_number(cell, form) if form else float(cell) for cell in known])
        numbers = numbers[np.abs(numbers) <= LARGEST]
        deviation = float(numbers.std()) if len(numbers) else 0.0
        mean = float(numbers.mean()) if len(numbers) else 0.0
        return EncodedColumn(name, "number", mean, deviation or 1.0, form=form)
    categories = sorted(set(cells))
    if len(categories) > MAX_CATEGORIES:
        remedy = f"{excluded} leaves it out, data.params.id_column = {name!r} takes it for ids"
        said = f"{len(categories)} different texts, at most {MAX_CATEGORIES} are encoded; {remedy}"
        raise DataError(f"{at}column {name}: {said}")
    return EncodedColumn(name, "text", categories=tuple(categories))


def _number(cell: str, form: str = "") -> float:
    """NaN for a missing cell, infinity for one that is not a number of the form, or too large a one."""
    if is_missing(cell):
        return math.nan
    value = number_in(cell, form) if form else float(cell) if is_number(cell) else None
    value = math.inf if value is None else value
    return value if abs(value) <= LARGEST else math.inf


def _text(cell: Any, form: str = "") -> str:
    """A cell as the file would have it: 3 for 3.0, nothing for None and NaN; decimals as the column's form has them."""
    if is_nothing(cell):
        return ""
    if isinstance(cell, float | np.floating):
        text = str(int(cell)) if float(cell).is_integer() else str(cell)
        return text.replace(".", ",") if form == "comma" else text
    return str(cell).strip()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return shown if len(names) <= 12 else f"{shown}, ... ({len(names)} columns)"
