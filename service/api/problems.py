"""RFC 9457 problem documents: the one JSON shape of every refusal, and the handlers that make it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from s2e.words import Problem, SpecError, UnreadableError, to_json
from service.errors import ServiceError, Unavailable
from service.store.outage import OUTAGES, reason_of

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger(__name__)
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 400: "invalid_request"}


def problem_response(
    status: int,
    code: str,
    detail: str,
    instance: str,
    problems: Iterable[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document. ASCII only, so that whatever a client sent can be repeated to it."""
    body: dict[str, Any] = {
        "type": f"urn:s2e:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "instance": instance,
    }
    if errors := [to_json(problem) for problem in problems]:
        body["errors"] = errors
    return Response(json.dumps(body), status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem document."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(SpecError, _spec_error)
    app.add_exception_handler(UnreadableError, _unreadable)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(HTTPException, _http_error)
    for outage in OUTAGES:
        app.add_exception_handler(outage, _database_error)
    app.add_exception_handler(Exception, internal)


async def answer_to(request: Request, error: Exception) -> Response:
    """The problem document of an error that an endpoint raised; one that nobody expects is raised again."""
    handlers = request.app.exception_handlers
    kind = next(kind for kind in type(error).__mro__ if kind in handlers)
    if kind is Exception:
        raise error
    response: Response = await handlers[kind](request, error)
    return response


def from_service_error(error: ServiceError, instance: str) -> Response:
    """The problem document of a service error."""
    return problem_response(error.status, error.code, str(error), instance, error.problems, error.headers)


async def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return from_service_error(error, request.url.path)


async def _spec_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SpecError)
    n = len(error.problems)
    detail = f"{n} field{'s' if n > 1 else ''} refused: " + ", ".join(problem.field for problem in error.problems)[:400]
    return problem_response(422, "invalid_spec", detail, request.url.path, error.problems)


async def _unreadable(request: Request, error: Exception) -> Response:
    detail = f"what another release stored cannot be read by this one: {error}"
    return problem_response(409, "unreadable", detail, request.url.path)


async def _invalid_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [_parameter_problem(fault) for fault in error.errors()]
    detail = "; ".join(f"{problem.field}: {problem.allowed}" for problem in problems)
    return problem_response(422, "invalid_parameter", detail, request.url.path, problems)


def _parameter_problem(fault: Mapping[str, Any]) -> Problem:
    """One pydantic error. Its words ("Input should be ...") say what is allowed."""
    value = fault.get("input")
    shown = value if value is None or isinstance(value, bool | int) else str(value)[:80]
    return Problem(".".join(str(part) for part in fault["loc"][1:]) or "body", shown, fault["msg"])


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code < 400:
        return Response(status_code=error.status_code, headers=error.headers)
    code = _CODES.get(error.status_code, "http_error")
    path, detail, headers = request.url.path[:200], str(error.detail), dict(error.headers or {})
    if error.status_code == 404:
        detail = f"nothing is at {path}"
    elif error.status_code == 405:
        allowed = ", ".join(_methods(request.app, path)) or headers.get("Allow", "GET")
        headers["Allow"], detail = allowed, f"{request.method} is not possible here; allowed: {allowed}"
    return problem_response(error.status_code, code, detail, path, headers=headers)


def _methods(app: FastAPI, path: str) -> list[str]:
    """Every method an address knows; the router's own answer names those of one route only."""
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    return sorted(
        verb.upper() for template, verbs in paths.items() if compile_path(template)[0].match(path) for verb in verbs
    )


async def _database_error(request: Request, error: Exception) -> Response:
    """An outage is not a bug: the request changed nothing, and may be sent again."""
    reason = reason_of(error)
    if reason is None:
        return await internal(request, error)
    log.warning("database error at %s: %s", request.url.path, reason)
    return from_service_error(unavailable(error), request.url.path)


def unavailable(error: Exception) -> ServiceError:
    """The answer to an error of the database: 503 for an outage, 500 for a bug of ours."""
    reason = reason_of(error)
    if reason is None:
        log.error("unhandled error of the database", exc_info=error)
        return ServiceError("the service failed; its log has the cause")
    return Unavailable(f"the database cannot serve now: {reason}; nothing was changed, send it again")


async def internal(request: Request, error: Exception) -> Response:
    """The answer to a bug of ours, whose cause the log has."""
    log.error("unhandled error at %s", request.url.path, exc_info=error)
    return problem_response(500, "internal", "the service failed; its log has the cause", request.url.path)
