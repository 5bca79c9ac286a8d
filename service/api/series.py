"""Thinning of series."""

from __future__ import annotations

import numpy as np


def thin(n: int, max_points: int) -> list[int]:
    """At most ``max_points`` of the indices 0..n-1: the first, the last, and evenly spaced between them."""
    if n <= 0:
        return []
    positions = np.rint(np.linspace(0, n - 1, min(n, max_points)))
    return [int(position) for position in np.unique(positions)]
