"""Everything this package raises on purpose.

S2EError
├── SpecError          a job specification that cannot be run: field, value, what is allowed
├── DataError          a data set that is missing or does not fit
├── SearchError        a searcher was told something it cannot use
├── UnreadableError    stored or received JSON that is not what its type says
├── MissingExtraError  a library that the base installation does not bring (an ImportError too)
└── TrialError         a training that went wrong (``retryable`` says whether another try may help)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class S2EError(Exception):
    """Base of all errors of this package."""


@dataclass(frozen=True)
class Problem:
    """One refused field: its dotted path, its value, and the allowed values."""

    field: str
    value: Any
    allowed: str

    def __str__(self) -> str:
        return f"{self.field} = {self.value!r}: {self.allowed}"


class SpecError(S2EError):
    """A specification was refused; ``problems`` names every field at fault."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


class DataError(S2EError):
    """A data set cannot be loaded, or does not fit the job."""


class UnreadableError(S2EError):
    """JSON that cannot be read: ``field`` is its dotted path, ``expected`` the shape it should have."""

    def __init__(self, expected: str, value: Any, field: str = "") -> None:
        self.expected, self.value, self.field = expected, value, field
        shown = repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        super().__init__(f"{field or 'the whole'} = {shown} cannot be read: expected {expected}")

    def below(self, name: str) -> UnreadableError:
        """The same error, seen from the object that holds ``name``."""
        return UnreadableError(self.expected, self.value, f"{name}.{self.field}" if self.field else name)


class MissingExtraError(S2EError, ImportError):
    """A library that this use of the package needs is not installed."""

    def __init__(self, extra: str) -> None:
        super().__init__(f"this needs the extra {extra!r}: pip install 's2e[{extra}]'")


class SearchError(S2EError):
    """A searcher cannot go on from the given state or results."""


class TrialError(S2EError):
    """A training failed. ``retryable`` is true when the cause is not the trial itself."""

    def __init__(self, reason: str, *, retryable: bool = False) -> None:
        self.retryable = retryable
        super().__init__(reason)
