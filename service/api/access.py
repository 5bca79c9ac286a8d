"""The outermost room of the API: a request gets its id, is counted and timed, and leaves a line in the log."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.callers import Caller
from service.api.metrics import Metrics
from service.logs import REQUEST_ID, about

log = logging.getLogger("s2e.access")
_ID = re.compile("[0-9A-Za-z._-]{1,64}")
QUIET = frozenset({"healthz", "readyz", "metrics"})
"""Machines ask these every few seconds, so they are logged only when they go wrong."""


class Access:
    """Ids, times and lines of requests. An id that a proxy gave (``X-Request-Id``) is kept; every answer carries it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        token, began_s, status = REQUEST_ID.set(request_id), time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            self._tell(scope, status, time.perf_counter() - began_s)
            REQUEST_ID.reset(token)

    def _tell(self, scope: Scope, status: int, took_s: float) -> None:
        operation = operation_of(scope)
        self.metrics.request(operation, scope["method"], status, took_s)
        if log.isEnabledFor(logging.INFO) and (operation not in QUIET or status >= 400):
            fields = {
                "request_id": scope["state"]["request_id"],
                "method": scope["method"],
                "path": scope["path"][:200],
            }
            fields |= {
                "operation": operation,
                "status": status,
                "ms": round(1000 * took_s, 2),
                **_who(scope),
                **_ids(scope),
            }
            log.info("request", extra=about(**fields))


def operation_of(scope: Scope) -> str:
    """The operationId of a request; ``other`` for pages, files and addresses where nothing is."""
    return str(getattr(scope.get("route"), "operation_id", None) or "other")


def _who(scope: Scope) -> dict[str, Any]:
    caller: Caller | None = scope["state"].get("caller")
    client = scope.get("client")
    who = {} if caller is None else {"owner": caller.owner, "key": caller.key_id}
    return who | {"address": client[0] if client else ""}


def _ids(scope: Scope) -> dict[str, Any]:
    """Ids of the job and the trial that a request was about."""
    path: dict[str, Any] = scope.get("path_params", {})
    return {name.removesuffix("_id"): value for name, value in path.items() if name.endswith("_id")}
