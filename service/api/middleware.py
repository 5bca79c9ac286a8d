"""Pure ASGI middleware: who may ask (auth), how much (body limit), and what a browser is told (security headers)."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.auth import COOKIE, KeyRing, is_loopback
from service.api.problems import from_service_error
from service.errors import Forbidden, ServiceError, TooLarge, Unauthorized

CONTENT_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
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
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class Compressed:
    """Text is sent compressed to who takes it; a model is sent as it is, so that its ranges are those of the file."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.zipped = GZipMiddleware(app, minimum_size=1_000, compresslevel=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_file = scope["type"] == "http" and scope["path"].endswith("/model")
        await (self.app if is_file else self.zipped)(scope, receive, send)


class BodyLimit:
    """Refuses a body over the limit: by its announced length, or once a chunked one has grown past it."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self.app = app
        self.limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > self.limit_bytes:
            await from_service_error(TooLarge(self.limit_bytes), scope["path"])(scope, receive, send)
            return
        n_bytes = 0

        async def receive_within_limit() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self.limit_bytes:
                raise TooLarge(self.limit_bytes)
            return message

        await self.app(scope, receive_within_limit, send)


class Gate:
    """Lets a request pass, or answers with the problem.

    With a key: /api/v1 needs it as a bearer token, or a session cookie got for it. Without one the service listens on
    loopback only, and the Host header must say so (else another site's name could be pointed here: DNS rebinding).
    A browser page of another origin may never change anything.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing | None) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(HTTPConnection(scope))
            except ServiceError as error:
                await from_service_error(error, scope["path"])(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check(self, request: HTTPConnection) -> None:
        host = request.headers.get("host", "")
        if self.keys is None and not is_loopback(_hostname(host)):
            raise Forbidden(f"host {host[:80]!r} is not this machine; allowed: 127.0.0.1, localhost, [::1]")
        if request.scope["method"] not in _SAFE_METHODS:
            origin = request.headers.get("origin")
            if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
                raise Forbidden(f"requests from pages of {origin[:80]!r} are refused")
        path = request.scope["path"]
        if self.keys is None or not path.startswith("/api/") or path == "/api/v1/session":
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        by_key = scheme.lower() == "bearer" and self.keys.accepts_key(token.strip())
        if not by_key and not self.keys.accepts_session(request.cookies.get(COOKIE, "")):
            raise Unauthorized("an API key is needed: send 'Authorization: Bearer KEY'")


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
