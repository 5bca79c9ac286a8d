"""Data frames with text, dates or categories, written as a table of one's own."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.encoder import is_nothing
from s2e.own_files import Files, from_files
from s2e.words import DataError

LABEL = "label of the row"
"""Column of a table that a data frame was written as."""
SMALLEST_SHARE = 1e-9
"""Of the rows, for those that test: one, where nobody brings test rows."""
_ROW = re.compile(r"rows\.csv, row (\d+)")
_LEAVE_OUT = re.compile(r"data\.params\.exclude = (\[.*?\])(, or say data\.params\.id_column = '.*?')?")


def is_frame(X: Any) -> bool:
    """True for a data frame with something else than numbers."""
    return hasattr(X, "columns") and hasattr(X, "dtypes") and any(dtype.kind not in "biuf" for dtype in X.dtypes)


def written(X: Any, label_S: NDArray[np.int64], folder: Path, trusted: Mapping[str, Any] | None = None) -> Files:
    """The frame, with its labels as numbers, as files of one's own."""
    names = [str(name) for name in X.columns]
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*names, LABEL])
        for row, label in zip(X.itertuples(index=False, name=None), label_S.tolist(), strict=True):
            table.writerow([*("" if is_nothing(cell) else cell for cell in row), label])
    return from_files("table", folder / "rows.csv", label=LABEL, test_share=SMALLEST_SHARE, trusted=trusted)


@contextmanager
def as_handed_over() -> Iterator[None]:
    """Errors about the files that rows were written to speak of X and y, and count rows as these do, from 0."""
    try:
        yield
    except DataError as error:
        text = _ROW.sub(lambda row: f"X, row {int(row[1]) - 2}", str(error))
        text = _LEAVE_OUT.sub(r"X.drop(columns=\1)", text.replace("rows.csv", "X"))
        raise type(error)(re.sub(r"\b(rows|arrays)\.npz, ", "", text)) from error
