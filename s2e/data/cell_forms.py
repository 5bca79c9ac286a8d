"""Numbers, dates and times of day as people write them in tables: the number of a cell by its form.

    comma     3,14 and 1.234,5          decimal commas; points, blanks or apostrophes between thousands
    point     1,234.5 and 1 234         decimal points; commas, blanks or apostrophes between thousands
    iso       2024-03-01, 2024-03-01T12:30Z, 2024/03/01
    d.m.y     1.3.2024 and 01.03.24, with a time or without; d/m/y and m/d/y, where a number above 12 tells which
    clock     9:30 and 21:15:07

A date is the number of days since 1970-01-01, its time a fraction of the day (of UTC, where it has a zone); a time of
day is a number of hours. No torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

_THOUSANDS = "\u0020\u00a0\u202f'\u2019"
_COMMA = re.compile(rf"[+-]?(\d{{1,3}}([.{_THOUSANDS}]\d{{3}})+|\d+)(,\d+)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_POINT = re.compile(rf"[+-]?(\d{{1,3}}([,{_THOUSANDS}]\d{{3}})+|\d+)(\.\d+)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_BY_DAY = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4}|\d{2})(?:,? +(\d{1,2}):(\d{2})(?::(\d{2}))?)?", re.ASCII)
_SHORT = re.compile(r"\d{2}[./]\d{2}[./]\d{2}\b(?!\d)", re.ASCII)
"""A year of two digits stands beside days and months of two: 1.2.10 is a version."""
_ISO = re.compile(r"\d{4}([-/])\d{1,2}\1\d{1,2}([T ].*)?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TURN_OF_CENTURY = 70
"""Of two digits: those below are years of this century."""
AS_DAYS = ", as days since 1970"
TIMES = ("iso", "d.m.y", "d/m/y", "m/d/y", "clock")
"""Forms of dates and times of day; the others are of numbers."""
WORDS: Mapping[str, str] = {
    "comma": "numbers with decimal commas",
    "point": "numbers with separators between thousands",
    "iso": f"dates{AS_DAYS}",
    "d.m.y": f"dates (day.month.year){AS_DAYS}",
    "d/m/y": f"dates (day/month/year){AS_DAYS}",
    "m/d/y": f"dates (month/day/year){AS_DAYS}",
    "clock": "times of day, as hours",
}
"""By form, for people."""


def number_in(cell: str, form: str) -> float | None:
    """The number of a cell; None where the cell is not of the form."""
    return _READERS[form](cell)


def _decimal(pattern: re.Pattern[str], cell: str, mark: str) -> float | None:
    if not pattern.fullmatch(cell):
        return None
    between = "." if mark == "," else ","
    return float(re.sub(rf"[{_THOUSANDS}{between}]", "", cell).replace(mark, "."))


def _days(moment: datetime) -> float:
    at = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (at - _EPOCH) / timedelta(days=1)


def _iso(cell: str) -> float | None:
    if not _ISO.fullmatch(cell):
        return None
    day, _, rest = cell.replace("/", "-").replace("T", " ", 1).partition(" ")
    try:
        year, month, number = map(int, day.split("-"))
        return _days(datetime.fromisoformat(f"{year:04}-{month:02}-{number:02}{f' {rest}' if rest else ''}"))
    except ValueError:
        return None


def _by_day(cell: str, mark: str, *, month_first: bool = False) -> float | None:
    matched = _BY_DAY.fullmatch(cell)
    if matched is None or matched[2] != mark or (len(matched[4]) == 2 and not _SHORT.match(cell)):
        return None
    first, second, year = int(matched[1]), int(matched[3]), int(matched[4])
    day, month = (second, first) if month_first else (first, second)
    if len(matched[4]) == 2:
        year += 2000 if year < _TURN_OF_CENTURY else 1900
    try:
        hour, minute, second = (int(part or 0) for part in matched.group(5, 6, 7))
        return _days(datetime(year, month, day, hour, minute, second, tzinfo=UTC))
    except ValueError:
        return None


def _clock(cell: str) -> float | None:
    matched = _CLOCK.fullmatch(cell)
    if matched is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in matched.groups())
    return hours + minutes / 60 + seconds / 3600 if hours < 24 and minutes < 60 and seconds < 60 else None


_READERS: Mapping[str, Callable[[str], float | None]] = {
    "comma": lambda cell: _decimal(_COMMA, cell, ","),
    "point": lambda cell: _decimal(_POINT, cell, "."),
    "iso": _iso,
    "d.m.y": lambda cell: _by_day(cell, "."),
    "d/m/y": lambda cell: _by_day(cell, "/"),
    "m/d/y": lambda cell: _by_day(cell, "/", month_first=True),
    "clock": _clock,
}
