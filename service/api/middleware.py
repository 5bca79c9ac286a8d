"""Pure ASGI middleware: authentication, the limit of bodies, and security headers for browsers."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s2e.words import Problem
from service.api.auth import is_loopback
from service.api.callers import Callers
from service.api.problems import from_service_error, unavailable
from service.errors import BadRequest, Forbidden, HeadersTooLarge, ServiceError, Slow, TooLarge
from service.store.outage import OUTAGES

CONTENT_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SECURITY = {name.lower().encode(): value.encode() for name, value in SECURITY_HEADERS.items()}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class SecurityHeaders:
    """Adds the content policy and its companions to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [header for header in message.get("headers", ()) if header[0] not in _SECURITY]
                message["headers"] += _SECURITY.items()
            await send(message)

        await self.app(scope, receive, send_with_headers)


_MODEL = ("/model",)
_PLAIN = {"POST": ("/epochs", "/result")}


class Compressed:
    """Text is sent compressed to who takes it; a model is sent as it is, so that its ranges are those of the file, as
    are the few words that answer a report."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.zipped = GZipMiddleware(app, minimum_size=1_000, compresslevel=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain = scope["type"] == "http" and scope["path"].endswith(_PLAIN.get(scope["method"], _MODEL))
        await (self.app if plain else self.zipped)(scope, receive, send)


BESIDE_UPLOADS = " (S2E_MAX_UPLOAD_BYTES): put the data below the service's data root, and register the path"
_ONCE = frozenset({b"authorization", b"content-length", b"content-type", b"host", b"idempotency-key", b"last-event-id"})
"""Headers that mean something only once: of two, one program would believe the first and the next one the last."""


class HeaderLimit:
    """Refuses headers that are too large together, and one given twice that may come once only."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self.app = app
        self.limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers: list[tuple[bytes, bytes]] = scope["headers"]
            names = [name for name, _ in headers if name in _ONCE]
            refusal: ServiceError | None = None
            if sum(len(name) + len(value) for name, value in headers) > self.limit_bytes:
                refusal = HeadersTooLarge(self.limit_bytes)
            elif len(names) > len(set(names)):
                doubled = next(name for name in names if names.count(name) > 1).decode()
                refusal = BadRequest(f"header {doubled} is given twice", Problem(doubled, "twice", "once"))
            if refusal is not None:
                await from_service_error(refusal, scope["path"][:200])(scope, receive, send)
                return
        await self.app(scope, receive, send)


class BodyLimit:
    """Refuses a body over the limit: by its announced length, or once a chunked one has grown past it; and one whose
    next piece does not come in time."""

    def __init__(self, app: ASGIApp, limit_bytes: int, wait_s: float, larger: Mapping[str, int]) -> None:
        """``larger``: paths with a limit of their own."""
        self.app = app
        self.limit_bytes = limit_bytes
        self.wait_s = wait_s
        self.larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit_bytes = self.larger.get(scope["path"], self.limit_bytes)
        remedy = BESIDE_UPLOADS if scope["path"] in self.larger else ""
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > limit_bytes:
            await from_service_error(TooLarge(limit_bytes, remedy), scope["path"])(scope, receive, send)
            return
        n_bytes, is_whole = 0, False

        async def receive_within_limit() -> Message:
            nonlocal n_bytes, is_whole
            if is_whole:  # what comes now is that the client has gone, whenever that is
                return await receive()
            try:
                async with asyncio.timeout(self.wait_s):
                    message = await receive()
            except TimeoutError as error:
                raise Slow(self.wait_s) from error
            is_whole = not message.get("more_body", False)
            n_bytes += len(message.get("body", b""))
            if n_bytes > limit_bytes:
                raise TooLarge(limit_bytes, remedy)
            return message

        await self.app(scope, receive_within_limit, send)


class Gate:
    """Lets a request pass, or answers with the problem.

    With a key: /api/v1 needs one as a bearer token, or a session cookie got for it. Without one the service listens on
    loopback only, and the Host header must say so (else another site's name could be pointed here: DNS rebinding).
    A browser page of another origin may never change anything. Who asks is ``request.state.caller`` from here on.
    """

    def __init__(self, app: ASGIApp, callers: Callers) -> None:
        self.app = app
        self.callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                await self._check(HTTPConnection(scope))
            except ServiceError as error:
                await from_service_error(error, scope["path"])(scope, receive, send)
                return
            except OUTAGES as error:
                await from_service_error(unavailable(error), scope["path"])(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _check(self, request: HTTPConnection) -> None:
        host = request.headers.get("host", "")
        if not self.callers.needs_key and not _is_here(host):
            raise Forbidden(f"host {host[:80]!r} is not this machine; allowed: 127.0.0.1, localhost, [::1]")
        if request.scope["method"] not in _SAFE_METHODS:
            origin = request.headers.get("origin")
            if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
                raise Forbidden(f"requests from pages of {origin[:80]!r} are refused")
        path = request.scope["path"]
        if (path.startswith("/api/") and path != "/api/v1/session") or path == "/metrics":
            request.state.caller = await self.callers.of_request(request)


@functools.lru_cache(256)
def _is_here(host: str) -> bool:
    """True if a Host header names this machine."""
    return is_loopback(_hostname(host))


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
