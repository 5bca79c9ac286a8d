"""The forms of a table's columns: which of them hold numbers, dates or times of day as people write them. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s2e.data.cell_forms import AS_DAYS, TIMES, WORDS, number_in
from s2e.data.encoder import is_missing, is_number
from s2e.words import DataError

FEWEST_ODD, SHARE_ODD = 20, 0.1
"""In a column of at least so many cells up to this share that is of no form is a slip."""


def forms_of(
    columns: Mapping[str, Sequence[str]], decimal: str, *, by_comma: bool, file: str, first: int
) -> dict[str, str]:
    """The form of each column of cells that has one, by name; plain numbers and texts have none.

    ``decimal`` says what marks decimals: comma, point, or auto for what the columns that leave no doubt have, and where
    there are none, points in a table whose cells commas separate. Raises DataError for a column that can be read in two
    ways, and for a few cells that are not of the form of all others.
    """
    known = {
        name: list(dict.fromkeys(cell for cell in cells if not is_missing(cell))) for name, cells in columns.items()
    }
    possible = {name: _possible(cells) for name, cells in known.items()}
    marks = {mark for name in columns if (mark := _mark(known[name], possible[name])) is not None}
    if decimal == "auto":
        decimal = marks.pop() if len(marks) == 1 else "point" if by_comma and not marks else ""
    forms = {}
    for name, cells in known.items():
        form = _chosen(cells, possible[name], decimal, f"{file}, column {name}")
        if form is not None:
            forms[name] = form
        elif not possible[name]:
            _require_none_odd(columns[name], f"column {name}", file, first)
    return forms


def _possible(cells: Sequence[str]) -> list[str]:
    """The forms that all of these cells have; none where there are no cells."""
    return [form for form in WORDS if cells and all(number_in(cell, form) is not None for cell in cells)]


def _mark(cells: Sequence[str], possible: Sequence[str]) -> str | None:
    """The decimal mark that these cells leave no doubt about."""
    is_one = len(possible) == 1 and possible[0] not in TIMES
    return possible[0] if is_one and any(not cell.lstrip("+-").isdecimal() for cell in cells) else None


def _chosen(cells: Sequence[str], possible: Sequence[str], decimal: str, at: str) -> str | None:
    """Raises DataError where the cells have different numbers by different forms."""
    forms = [form for form in possible if form in TIMES]
    if not forms and all(map(is_number, cells)):  # whole numbers with points between thousands look like plain ones
        is_thousands = decimal == "comma" and "comma" in possible and any("." in cell for cell in cells)
        return "comma" if is_thousands else None
    if not forms:
        forms = [form for form in possible if decimal in ("", form)] or list(possible)
    if not forms:
        return None
    readings = [[number_in(cell, form) for cell in cells] for form in forms]
    if doubtful := [cell for cell, *read in zip(cells, *readings, strict=True) if len(set(read)) > 1]:
        meant = " or ".join(WORDS[form].removesuffix(AS_DAYS) for form in forms)
        remedy = "write them as 2024-03-01" if forms[0] in TIMES else "say data.params.decimal = 'comma' or 'point'"
        raise DataError(f"{at}: {doubtful[0][:40]!r} can be read in two ways, {meant}: {remedy}")
    return forms[0]


def _require_none_odd(cells: Sequence[str], column: str, file: str, first: int) -> None:
    """Raises DataError for a few cells that are no date, or no number of another form, among many that are."""
    rows = [i for i, cell in enumerate(cells) if not is_missing(cell)]
    if len(rows) < FEWEST_ODD or len({cells[i] for i in rows}) <= FEWEST_ODD:
        return
    for form in WORDS:
        if sum(number_in(cells[i], form) is None for i in rows[:FEWEST_ODD]) > FEWEST_ODD / 2:
            continue
        odd = [i for i in rows if number_in(cells[i], form) is None]
        others = {cells[i] for i in rows} - {cells[i] for i in odd}
        if len(odd) <= SHARE_ODD * len(rows) and not all(map(is_number, others)):
            at, what = f"{file}, row {first + odd[0]}, {column}", WORDS[form].removesuffix(AS_DAYS)
            raise DataError(
                f"{at}: {cells[odd[0]][:40]!r} among {what} ({len(odd)} such cells): mend them, or empty them to count "
                "as missing"
            )
