"""The columns of a table by what they hold: nothing that tells classes apart, texts to read, ids. No torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from statistics import median

from s2e.data.cell_forms import WORDS, number_in
from s2e.data.encoder import MAX_CATEGORIES, is_missing, is_number
from s2e.data.own.slips import IMAGES, LOOKS_LIKE_AN_ID, N_FOR_ID
from s2e.words import DataError

INDEX = re.compile(r"|Unnamed: \d+|__index_level_\d+__")
"""Names that an index of pandas has once it is a column."""
MOST_DIGITS = 18
BLANKS_OF_TEXT = 2
"""From which on a cell is a text to read, and no name."""
MOST_NAMED = 8
"""Columns that an error shows."""
Columns = Mapping[str, Sequence[str]]
"""Cells by name of their column."""


def left_out_of(columns: Columns, *, keeps_numbers: bool = False) -> dict[str, str]:
    """The columns that are no features, by name, with the reason as a sentence."""
    reasons = {name: _reason(name, cells, keeps_numbers=keeps_numbers) for name, cells in columns.items()}
    return {
        name: f"column {name[:40] or '(without a name)'} is left out: {why}" for name, why in reasons.items() if why
    }


def _reason(name: str, cells: Sequence[str], *, keeps_numbers: bool) -> str:
    values = set(cells)
    if all(map(is_missing, values)):
        return "it is empty"
    if len(values) == 1:
        return f"it holds {cells[0][:40]!r} in all rows"
    if not keeps_numbers and numbers_rows(name, cells):
        return "it numbers the rows (row_numbers = 'keep' makes it a feature)"
    return ""


def numbers_rows(name: str, cells: Sequence[str]) -> bool:
    """True for an index that pandas wrote, of whole numbers, and for whole numbers that follow one another from row to
    row, whatever they are called: what such a column tells of a class is where its rows stand in the file."""
    if not all(cell.isdecimal() and len(cell) <= MOST_DIGITS for cell in cells):
        return False
    numbers = list(map(int, cells))
    if INDEX.fullmatch(name):
        return len(set(numbers)) == len(numbers)
    return len(numbers) >= N_FOR_ID and all(then == now + 1 for now, then in pairwise(numbers))


def texts_of(columns: Columns) -> list[str]:
    """Names of columns of texts of several words, which are not to be told apart as a whole but by their words."""
    return [name for name, cells in columns.items() if _are_texts(cells)]


def _are_texts(cells: Sequence[str]) -> bool:
    known = [cell for cell in cells if not is_missing(cell)]
    if len(known) < N_FOR_ID or len(set(known)) <= min(LOOKS_LIKE_AN_ID * len(known), MAX_CATEGORIES):
        return False
    if median(cell.count(" ") for cell in known) < BLANKS_OF_TEXT:
        return False
    odd = [cell for cell in known[:MAX_CATEGORIES] if all(number_in(cell, form) is None for form in WORDS)]
    return len(odd) > LOOKS_LIKE_AN_ID * len(known[:MAX_CATEGORIES])  # 1 234 567 has blanks, and is a number


def require_no_ids(columns: Columns, known: Collection[str], file: str) -> None:
    """Raises DataError for columns, but those ``known`` to hold something else, of texts most of which no other row
    has: a name, a key, the path of a file. They tell rows apart and not classes. All are named together."""
    n_texts = {name: n for name, cells in columns.items() if name not in known and (n := _n_own_texts(cells))}
    if not n_texts:
        return
    shown = ", ".join(f"{name} ({n})" for name, n in list(n_texts.items())[:MOST_NAMED])
    more = f" and {len(n_texts) - MOST_NAMED} more" if len(n_texts) > MOST_NAMED else ""
    column, first = "column" if len(n_texts) == 1 else "columns", next(iter(n_texts))
    n_rows = len(columns[first])
    images = [name for name in n_texts if _are_images(columns[name])]
    raise DataError(
        f"{file}, {column} {shown}{more}: different texts in {n_rows} rows look like "
        + (
            f"names of image files; data.name = 'image_table' with data.params.image = {images[0]!r} reads the images"
            if images
            else f"ids or dates; leave them out: data.params.exclude = {list(n_texts)}, or say "
            f"data.params.id_column = {first!r}"
        )
    )


def _n_own_texts(cells: Sequence[str]) -> int:
    """The number of different texts of a column where nearly every row has one of its own; 0 elsewhere."""
    known = [cell for cell in cells if not is_missing(cell)]
    n_texts = len(set(known))
    is_many = len(known) >= N_FOR_ID and n_texts > LOOKS_LIKE_AN_ID * len(known)
    return n_texts if is_many and not all(map(is_number, known)) else 0


def _are_images(cells: Sequence[str]) -> bool:
    return all(cell.lower().endswith(tuple(IMAGES)) for cell in cells if not is_missing(cell))
