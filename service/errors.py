"""Errors of the service, each with its HTTP status and stable code.

    ServiceError
    ├── NotFound               404  not_found
    ├── IllegalTransition      409  illegal_transition
    ├── Conflict               409  conflict (an idempotency key with another body, a report that is not there yet)
    ├── TooLarge               413  too_large
    ├── Unauthorized           401  unauthorized
    └── Unavailable            503  unavailable

``s2e.errors.SpecError`` becomes 422 invalid_spec with one entry per field.
"""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """Base: ``status`` and ``code`` never change once published."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"


class NotFound(ServiceError):
    status = 404
    code = "not_found"

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f"no {what} {str(key)[:80]!r}")


class IllegalTransition(ServiceError):
    status = 409
    code = "illegal_transition"

    def __init__(self, what: str, old: str, new: str, allowed: list[str]) -> None:
        words = ", ".join(allowed) or "nothing: it has ended"
        super().__init__(f"a {what} that is {old} cannot become {new}; allowed: {words}")


class Conflict(ServiceError):
    status = 409
    code = "conflict"


class TooLarge(ServiceError):
    status = 413
    code = "too_large"


class Unauthorized(ServiceError):
    status = 401
    code = "unauthorized"


class Unavailable(ServiceError):
    status = 503
    code = "unavailable"
