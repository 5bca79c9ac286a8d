"""Lists by keyset: a cursor holds the sort key of the last item given out, so pages are stable while rows come."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

from s2e.words import Problem
from s2e.words.answers import Page
from service.errors import Invalid

Row = TypeVar("Row")
Item = TypeVar("Item")
Key = tuple[int | float | str, ...]
Limit = Annotated[int, Query(ge=1, le=200, description="items of one page")]
Cursor = Annotated[str | None, Query(max_length=800, description="next_cursor of the page before")]


class Place:
    """The place in a list from which a request wants the next page."""

    def __init__(self, limit: Limit = 50, cursor: Cursor = None) -> None:
        self.limit = limit
        self._cursor = cursor

    def after(self, *kinds: type) -> Any:
        """The sort key to go on behind, a tuple of ``kinds``; None at the beginning. Raises Invalid."""
        return decode_cursor(self._cursor, kinds)

    def page(
        self, rows: Sequence[Row], key: Callable[[Row], Key], items: Callable[[Sequence[Row]], Sequence[Item]]
    ) -> Page[Item]:
        """The answer from one row more than asked for, if there is one: it tells of a further page."""
        shown = rows[: self.limit]
        following = encode_cursor(*key(shown[-1])) if len(rows) > self.limit else None
        return Page(tuple(items(shown)), following)


Paging = Annotated[Place, Depends()]


def encode_cursor(*key: int | float | str) -> str:
    """An opaque place in a list: the sort key of the last item given out."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, kinds: Sequence[type]) -> Key | None:
    """The sort key in a cursor; its parts have ``kinds``. Raises Invalid for anything else."""
    if cursor is None:
        return None
    try:
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if [type(part) for part in key] == list(kinds) and all(_storable(part) for part in key):
            return tuple(key)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        pass
    raise Invalid(Problem("cursor", cursor[:80], "the next_cursor of an earlier answer of this list"))


def _storable(part: int | float | str) -> bool:
    """True if a database can compare its column with this."""
    if isinstance(part, int):
        return abs(part) < 2**31
    if isinstance(part, float):
        return math.isfinite(part)
    return len(part) <= 120 and part.isprintable() and "\ud800" not in part
