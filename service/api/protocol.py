"""HTTP as uvicorn speaks it, with an end to patience: headers that are too large or too slow are answered and cut off.

Requests refused here never reach the application, so the problem document is written by hand.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api.problems import from_service_error
from service.errors import BadRequest, HeadersTooLarge, ServiceError, Slow

MOST_GATHERED = 65_536
LINGER_S = 1.0
"""After a refusal: a connection that is closed with data unread is reset, and the answer lost with it."""


class Gathered:
    """A transport that sends what is written in one turn of the event loop at once: head and body of an answer are two
    writes of uvicorn's, and each would be a call of the system and wake the client up."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._pieces: list[bytes] = []
        self._n_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send ``data`` in its turn; at once where much waits, so that the transport can say that it is too much."""
        if not self._pieces:
            self._loop.call_soon(self.flush)
        self._pieces.append(data)
        self._n_bytes += len(data)
        if self._n_bytes > MOST_GATHERED:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        if self._pieces:
            data, self._pieces, self._n_bytes = b"".join(self._pieces), [], 0
            self._transport.write(data)

    def write_eof(self) -> None:
        """Nothing more is written."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close once everything is sent."""
        self.flush()
        self._transport.close()


class LimitedProtocol(HttpToolsProtocol):
    """One connection. Its clock runs from the connection, or the first byte of a request, to the end of the headers;
    the rest of a request is waited for by the application."""

    max_header_bytes: int
    receive_s: float
    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _head_bytes = 0
    _refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(Gathered(transport, self.loop))  # type: ignore[arg-type]
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_header_bytes:
                self._refuse(HeadersTooLarge(self.max_header_bytes))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        if self._timer is None:
            self._start()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest(msg))

    def _start(self) -> None:
        self._timer = self.loop.call_later(self.receive_s, self._give_up)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._in_head:
            self._refuse(Slow(self.receive_s))
        else:  # it never said anything
            self.transport.close()

    def _refuse(self, error: ServiceError) -> None:
        self._in_head = False
        self._stop()
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self.transport.write(_raw(error))
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)


def protocol(max_header_bytes: int, receive_s: float) -> type[HttpToolsProtocol]:
    """The protocol with these limits, for ``uvicorn.Config(http=...)``."""
    return type("Limited", (LimitedProtocol,), {"max_header_bytes": max_header_bytes, "receive_s": receive_s})


def _raw(error: ServiceError) -> bytes:
    """The problem document of an error as it goes over the wire."""
    answer = from_service_error(error, "/")
    lines = [f"HTTP/1.1 {error.status} {error.code}".encode()]
    lines += [name + b": " + value for name, value in answer.raw_headers if name != b"connection"]
    return b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)])
