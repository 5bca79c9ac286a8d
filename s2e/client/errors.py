"""Everything that the client raises:

ClientError
├── Unreachable                nobody answers at the address
├── WrongKind                  the job is a comparison and not a search, or the other way round
├── UnknownAnswer              the service answers in a shape that this client does not know
└── ApiError                   the service refused: ``status``, ``code``, ``detail``, ``problems``
    ├── InvalidRequest         invalid_request, unsupported_media_type, method_not_allowed, slow
    ├── InvalidSpec            invalid_spec: ``problems`` names each field, its value and what is allowed
    ├── InvalidParameter       invalid_parameter
    ├── Unauthorized           unauthorized: a key is needed, or it is the wrong one
    ├── Forbidden              forbidden
    ├── NotFound               not_found
    ├── IllegalTransition      illegal_transition
    ├── Conflict               conflict
    ├── LeaseExpired           lease_expired: a trial's lease ran out, or was taken back
    ├── Unreadable             unreadable: stored by a release with another shape
    ├── TooLarge               too_large, headers_too_large
    ├── OverQuota              quota_exceeded: the owner of the key has too much under way
    ├── TooMany                too_many_requests: the client waits and asks again
    └── Unavailable            unavailable
"""
# ruff: noqa: N818 - named for what happened, like the codes of the API

from __future__ import annotations

import httpx

from s2e.words import Problem


class ClientError(Exception):
    """Base of all this client raises."""


class Unreachable(ClientError):
    def __init__(self, url: str, cause: Exception) -> None:
        super().__init__(f"no service answers at {url}: {cause}. Is it running? Start one with: s2e serve")


class WrongKind(ClientError):
    def __init__(self, job_id: str, expected: object) -> None:
        super().__init__(f"job {job_id} is not of the kind {expected}: report() is of searches, comparison() of others")


class UnknownAnswer(ClientError):
    def __init__(self, path: str, cause: Exception) -> None:
        super().__init__(f"the answer of {path} has another shape than this client knows: {cause}")


class ApiError(ClientError):
    """The service refused."""

    def __init__(self, status: int, code: str, detail: str, problems: tuple[Problem, ...] = ()) -> None:
        self.status, self.code, self.detail, self.problems = status, code, detail, problems
        super().__init__("; ".join((detail, *map(str, problems))))


class InvalidRequest(ApiError): ...


class InvalidSpec(ApiError): ...


class InvalidParameter(ApiError): ...


class Unauthorized(ApiError): ...


class Forbidden(ApiError): ...


class NotFound(ApiError): ...


class IllegalTransition(ApiError): ...


class Conflict(ApiError): ...


class LeaseExpired(ApiError): ...


class Unreadable(ApiError): ...


class TooLarge(ApiError): ...


class OverQuota(ApiError): ...


class TooMany(ApiError):
    retry_after_s = 0.0
    """Seconds until this key may ask again."""


class Unavailable(ApiError):
    retry_after_s = 0.0
    """Seconds after which the service asks to be tried again."""


_BY_CODE: dict[str, type[ApiError]] = {
    "invalid_request": InvalidRequest,
    "unsupported_media_type": InvalidRequest,
    "method_not_allowed": InvalidRequest,
    "invalid_spec": InvalidSpec,
    "invalid_parameter": InvalidParameter,
    "unauthorized": Unauthorized,
    "forbidden": Forbidden,
    "not_found": NotFound,
    "illegal_transition": IllegalTransition,
    "conflict": Conflict,
    "lease_expired": LeaseExpired,
    "unreadable": Unreadable,
    "too_large": TooLarge,
    "headers_too_large": TooLarge,
    "slow": InvalidRequest,
    "quota_exceeded": OverQuota,
    "too_many_requests": TooMany,
    "unavailable": Unavailable,
}


def refusal(response: httpx.Response) -> ApiError:
    """The error for a problem document, or for whatever a proxy sent in its place."""
    try:
        problem = response.json()
        code, detail = str(problem["code"]), str(problem["detail"])
        errors = tuple(Problem(e["field"], e["value"], e["allowed"]) for e in problem.get("errors") or ())
    except (ValueError, TypeError, KeyError):
        code, detail, errors = "http_error", f"status {response.status_code}: {response.text[:200]}", ()
    error = _BY_CODE.get(code, ApiError)(response.status_code, code, detail, errors)
    after = response.headers.get("Retry-After", "")
    if isinstance(error, TooMany | Unavailable) and after.isdigit():
        error.retry_after_s = float(after)
    return error
