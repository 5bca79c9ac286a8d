"""Thinning of series, and list cursors."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

import numpy as np

from s2e.words import Problem
from service.errors import Invalid


def thin(n: int, max_points: int) -> list[int]:
    """At most ``max_points`` of the indices 0..n-1: the first, the last, and evenly spaced between them."""
    if n <= 0:
        return []
    positions = np.rint(np.linspace(0, n - 1, min(n, max_points)))
    return [int(position) for position in np.unique(positions)]


def encode_cursor(*key: int | str) -> str:
    """An opaque place in a list: the sort key of the last item given out."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, kinds: Sequence[type]) -> tuple[int | str, ...] | None:
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


def _storable(part: int | str) -> bool:
    """Whether a database can compare its column with this."""
    if isinstance(part, int):
        return abs(part) < 2**31
    return len(part) <= 36 and part.isascii() and part.isprintable()
