# ruff: noqa: N818 - named for what happened, as users read them in problem documents
"""Errors of the service, each with its HTTP status and stable code.

    ServiceError
    ├── BadRequest             400  invalid_request (not JSON, a key twice, nested too deep)
    ├── Unauthorized           401  unauthorized
    ├── Forbidden              403  forbidden (another site's page, a host name that is not this machine's, a scope
    │                               that the key lacks, another owner's job)
    ├── NotFound               404  not_found
    │   ├── NoReport           404  not_found (the job has not ended)
    │   ├── NoLabels           404  not_found (nothing is known of the job's labels)
    │   └── NoSchedule         404  not_found (a comparison recommends none)
    ├── IllegalTransition      409  illegal_transition
    ├── Conflict               409  conflict (an idempotency key with another body; a trial that is not yours to train)
    ├── LeaseExpired           409  lease_expired (a report for a trial that was taken back)
    ├── Slow                   408  slow (the request did not arrive in time)
    ├── TooLarge               413  too_large
    ├── UnsupportedMedia       415  unsupported_media_type
    ├── Invalid                422  invalid_parameter (a query, path or header value; names field, value, allowed)
    ├── OverQuota              429  quota_exceeded (of one owner; no Retry-After: waiting alone may not help)
    ├── TooMany                429  too_many_requests (of one key, or wrong keys from one address; has Retry-After)
    ├── HeadersTooLarge        431  headers_too_large
    └── Unavailable            503  unavailable

``s2e.words.errors.SpecError`` becomes 422 invalid_spec with one entry per field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from s2e.words import Problem


class ServiceError(Exception):
    """Base: ``status`` and ``code`` never change once published."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    headers: Mapping[str, str] = {}
    problems: tuple[Problem, ...] = ()


class BadRequest(ServiceError):
    status = 400
    code = "invalid_request"

    def __init__(self, detail: str, *problems: Problem) -> None:
        self.problems = problems
        super().__init__(detail)


class Unauthorized(ServiceError):
    status = 401
    code = "unauthorized"
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class Forbidden(ServiceError):
    status = 403
    code = "forbidden"


class NotFound(ServiceError):
    status = 404
    code = "not_found"

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f"no {what} {str(key)[:80]!r}")


class NoReport(NotFound):
    def __init__(self, job_id: str, state: str) -> None:
        ServiceError.__init__(self, f"no report yet: job {job_id} is {state}")


class NoLabels(NotFound):
    def __init__(self, job_id: str, why: object) -> None:
        ServiceError.__init__(self, f"no audit of the labels of job {job_id}: {why}")


class NoSchedule(NotFound):
    def __init__(self, job_id: str) -> None:
        ServiceError.__init__(self, f"job {job_id} is a comparison, which recommends no schedule")


class IllegalTransition(ServiceError):
    status = 409
    code = "illegal_transition"

    def __init__(self, what: str, old: str, new: str, allowed: list[str]) -> None:
        words = ", ".join(allowed) or "nothing: it has ended"
        super().__init__(f"a {what} that is {old} cannot become {new}; allowed: {words}")


class Conflict(ServiceError):
    status = 409
    code = "conflict"


class LeaseExpired(ServiceError):
    status = 409
    code = "lease_expired"

    def __init__(self, trial_id: str, attempt: int, why: str) -> None:
        super().__init__(f"attempt {attempt} of trial {trial_id} was given up ({why}): its report changes nothing")


class TooLarge(ServiceError):
    status = 413
    code = "too_large"

    def __init__(self, limit_bytes: int, remedy: str = "") -> None:
        super().__init__(f"the request body is larger than {limit_bytes} bytes{remedy}")


class Slow(ServiceError):
    status = 408
    code = "slow"
    headers: Mapping[str, str] = {"Connection": "close"}

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"the request did not arrive within {wait_s:g} s")


class OverQuota(ServiceError):
    status = 429
    code = "quota_exceeded"


class TooMany(ServiceError):
    status = 429
    code = "too_many_requests"

    def __init__(self, detail: str, wait_s: float) -> None:
        self.headers = {"Retry-After": str(max(1, math.ceil(wait_s)))}
        super().__init__(detail)


class HeadersTooLarge(ServiceError):
    status = 431
    code = "headers_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the request's headers are larger than {limit_bytes} bytes")


class UnsupportedMedia(ServiceError):
    status = 415
    code = "unsupported_media_type"


class Invalid(ServiceError):
    status = 422
    code = "invalid_parameter"

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


class Unavailable(ServiceError):
    status = 503
    code = "unavailable"
    headers: Mapping[str, str] = {"Retry-After": "1"}
