"""The end of a budget of seconds: what still fits, by what the same took before."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from s2e.words import Problem, SpecError

_BUDGET = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|sec|seconds?|m|min|minutes?|h|hours?)?\s*")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
REMEMBERED = 3
"""The slowest of as many counts: a machine that others use is slow for a while."""


def seconds_of(budget: str | float | None, field: str) -> float | None:
    """A budget in seconds: a number of them, or words such as "90 s", "5 min" and "1.5 h". Raises SpecError, which
    names ``field``."""
    if budget is None:
        return None
    matched = _BUDGET.fullmatch(str(budget).lower()) if not isinstance(budget, bool) else None
    seconds = float(matched[1]) * _SECONDS[(matched[2] or "s")[0]] if matched else 0.0
    if seconds <= 0:
        raise SpecError(Problem(field, str(budget)[:80], 'seconds > 0, or words such as "90 s", "5 min" or "1 h"'))
    return seconds


class Deadline:
    """A budget that began with this object."""

    def __init__(self, seconds: float, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or time.monotonic
        self.seconds = seconds
        self._began = self._clock()
        self._took: dict[str, deque[float]] = {}

    @classmethod
    def of(cls, budget: str | float | None, field: str) -> Self | None:
        """From a budget as people write it; None for none. Raises SpecError, which names ``field``."""
        seconds = seconds_of(budget, field)
        return None if seconds is None else cls(seconds)

    @property
    def left(self) -> float:
        """Seconds; negative once they are over."""
        return self.seconds - (self._clock() - self._began)

    def now(self) -> float:
        """The clock that counts."""
        return self._clock()

    def took(self, kind: str, seconds: float, units: float = 1) -> None:
        """Note the seconds that ``units`` of a kind of work have just taken."""
        self._took.setdefault(kind, deque(maxlen=REMEMBERED)).append(seconds / units)

    def needs(self, kind: str, units: float = 1, otherwise: float = 0.0) -> float:
        """Seconds that ``units`` more will take, by the slowest of the last ones; ``otherwise`` for one never seen."""
        seen = self._took.get(kind)
        return units * (max(seen) if seen else otherwise)

    def fits(self, kind: str, units: float = 1, otherwise: float = 0.0, reserve: float = 0.0) -> bool:
        """True if as many units end nearer to the deadline than it is now, with ``reserve`` seconds left for others."""
        return self.left - reserve >= self.needs(kind, units, otherwise) / 2
