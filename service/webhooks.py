"""Messages to other programs: where they may go, how they are signed, how they are sent.

A webhook must not make the service knock on doors that only it can reach. So a host is resolved, each of its addresses
is judged, and the connection goes to the very address that was judged: a name that resolves otherwise a moment later
gains nothing. Redirects are not followed, proxies of the environment are not used.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import httpx

from s2e.words import Problem, SpecError

TIMEOUT_S = 10.0
"""Longest wait for a connection, and for the next piece of an answer."""
TOTAL_S = 30.0
"""Longest try, however the receiver keeps it going."""
_PORTS = {"http": 80, "https": 443}
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_NAT64, _NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48")


@dataclass(frozen=True)
class Answer:
    """The outcome of a try."""

    taken: bool
    words: str


def networks(text: str) -> tuple[Network, ...]:
    """The networks of a setting: addresses or networks with commas between. Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def check_url(url: str, allowed: Sequence[Network]) -> None:
    """Raise SpecError for an address that a webhook must not have."""
    try:
        _resolve(url, allowed)
    except ValueError as error:
        raise SpecError(Problem("url", url[:200], str(error))) from error


def signature(secret: str, body: str, at_s: int) -> str:
    """The header that says who sent a message, and when."""
    signed = hmac.new(secret.encode(), f"{at_s}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={at_s},v1={signed}"


def send(url: str, secret: str, delivery_id: str, body: str, allowed: Sequence[Network]) -> Answer:
    """Send a message once."""
    try:
        address = _resolve(url, allowed)
    except ValueError as error:
        return Answer(False, f"not sent: {error}")
    parts = urlsplit(url)
    host = f"[{address}]" if address.version == 6 else str(address)
    port = parts.port or _PORTS[parts.scheme]
    target = urlunsplit((parts.scheme, f"{host}:{port}", parts.path or "/", parts.query, ""))
    headers = {
        "Host": parts.netloc.rpartition("@")[2],
        "Content-Type": "application/json",
        "User-Agent": "s2e-webhook",
        "X-S2E-Delivery": delivery_id,
        "X-S2E-Signature": signature(secret, body, int(time.time())),
    }
    limit = _Limit(TOTAL_S)
    # The certificate is of the name, not of the address.
    extensions = {"sni_hostname": parts.hostname, "trace": limit.trace}
    try:
        with (
            limit,
            httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client,
            client.stream("POST", target, content=body, headers=headers, extensions=extensions) as response,
        ):
            return Answer(response.is_success, f"answered {response.status_code}")
    except httpx.HTTPError as error:
        if limit.passed:
            return Answer(False, f"no answer within {TOTAL_S:g} s")
        return Answer(False, f"{type(error).__name__}: {error}"[:400])


class _Limit:
    """Ends a connection after ``limit_s``: httpx limits each wait, and a receiver that sends a byte of headers every
    few seconds would keep one of the courier's threads for ever."""

    def __init__(self, limit_s: float) -> None:
        self._timer, self._lock = threading.Timer(limit_s, self._cut), threading.Lock()
        self._timer.daemon = True
        self._connection: socket.socket | None = None
        self.passed = False

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Hear from httpx that there is a connection."""
        if not event.endswith("connect_tcp.complete"):
            return
        with self._lock:
            # A handle of our own: TLS takes httpx's socket away and puts another one in its place.
            self._connection = info["return_value"].get_extra_info("socket").dup()
        if self.passed:
            self._cut()

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _cut(self) -> None:
        self.passed = True
        with self._lock, suppress(OSError):
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)


def _resolve(url: str, allowed: Sequence[Network]) -> Address:
    """The address of a URL's host that may be connected to. Raises ValueError with what is allowed."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise ValueError("an http or https address with a host and without a password")
    port = parts.port or _PORTS[parts.scheme]
    try:
        places = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"a host that can be found: {error}") from error
    addresses = [ipaddress.ip_address(str(place[4][0]).partition("%")[0]) for place in places]
    for end in [end for address in addresses for end in _ends(address)]:
        if not (end.is_global and not end.is_multicast) and not any(end in network for network in allowed):
            raise ValueError(f"a public address; {end} is not one (S2E_WEBHOOK_NETWORKS allows networks of one's own)")
    return addresses[0]


def _ends(address: Address) -> list[Address]:
    """Where a connection to an address may end: at the IPv4 addresses that it holds, where a translator or a tunnel
    would take it there."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    return [ipaddress.IPv4Address(inside) for inside in _inside(address)] or [address]


def _inside(address: ipaddress.IPv6Address) -> list[bytes]:
    packed = address.packed
    if address.ipv4_mapped or (address in _COMPATIBLE and int(address) > 1) or address in _NAT64:
        return [packed[12:]]
    if address in _NAT64_LOCAL:  # RFC 6052: behind 48 bits of prefix around a byte of zeros, or behind 96
        return [inside for inside in (packed[6:8] + packed[9:11], packed[12:]) if any(inside)] or [packed[12:]]
    if address.sixtofour:
        return [packed[2:6]]
    if address.teredo:
        return [place.packed for place in address.teredo]
    return []
