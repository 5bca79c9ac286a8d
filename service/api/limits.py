"""Token buckets: limits on the rate of requests. Each api process keeps its own and tells callers how long to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MOST_NAMES = 10_000
"""Names that are remembered; one that is forgotten begins with a full bucket."""


class Buckets:
    """A bucket for each name: ``burst`` at once, ``rate_per_s`` on average."""

    def __init__(self, rate_per_s: float, burst: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._rate_per_s, self._burst, self._now_s = rate_per_s, burst, now_s
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def wait_s(self, name: str) -> float:
        """Seconds until one is left; 0: there is one now. Takes none."""
        with self._lock:
            return max(0.0, (1 - self._level(name)) / self._rate_per_s)

    def take(self, name: str) -> float:
        """Take one; seconds to wait where there is none."""
        with self._lock:
            level = self._level(name)
            if level < 1:
                return (1 - level) / self._rate_per_s
            self._levels.pop(name, None)  # the newest last, so that the longest unused goes first
            self._levels[name] = (level - 1, self._now_s())
            if len(self._levels) > MOST_NAMES:
                del self._levels[next(iter(self._levels))]
            return 0.0

    def _level(self, name: str) -> float:
        level, at_s = self._levels.get(name, (self._burst, self._now_s()))
        return min(self._burst, level + (self._now_s() - at_s) * self._rate_per_s)
