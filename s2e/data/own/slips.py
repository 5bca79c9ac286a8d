"""Slips in labels, whoever hands them over: too many classes, an id taken for a class, one class written in two ways.

No torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from s2e.words import MAX_CLASSES, DataError

LOOKS_LIKE_AN_ID = 0.5
"""Largest share of distinct labels; above it the column looks like an id. Applies from N_FOR_ID rows on."""
N_FOR_ID = 20
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
"""Ends of names of image files."""
NUMBER = re.compile(r"[+-]?\d{1,300}(\.\d{1,300})?", re.ASCII)


def require_classes(n_classes: int, n_rows: int, at: str) -> None:
    """Raises DataError for labels that look like an id, for too many classes, and for one class only."""
    if n_rows >= N_FOR_ID and n_classes > LOOKS_LIKE_AN_ID * n_rows:
        raise DataError(
            f"{at}: {n_classes} different labels in {n_rows} rows look like an id or a measurement; say which "
            "column holds the class"
        )
    if not n_rows:
        raise DataError(f"{at}: there is no label at all")
    if n_classes == 1 and n_rows > 1:
        raise DataError(
            f"{at}: all {n_rows} labels are the same: there is nothing to tell apart; is it another column?"
        )
    if not 2 <= n_classes <= MAX_CLASSES:
        raise DataError(f"{at}: {n_classes} different labels, 2 to {MAX_CLASSES} are allowed")


def differ_by_case(labels: Iterable[str]) -> tuple[str, str] | None:
    """Two labels that differ by upper and lower case only; single letters may be classes of their own."""
    first: dict[str, str] = {}
    for label in sorted(labels):
        if len(label) > 1 and first.setdefault(label.casefold(), label) != label:
            return first[label.casefold()], label
    return None


def written_twice(labels: Iterable[str]) -> tuple[str, str] | None:
    """Two labels that are one: they differ by blanks at their ends only, or are the same number, such as 1 and 1.0."""
    first: dict[str, str] = {}
    for label in sorted(labels):
        bare = label.strip()
        one = str(Decimal(bare).normalize()) if NUMBER.fullmatch(bare) else bare
        if first.setdefault(one, label) != label:
            return first[one], label
    return None
