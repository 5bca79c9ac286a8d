"""API key and browser sessions.

A browser's EventSource cannot send headers, so the dashboard trades the key for a signed cookie. The signature is made
with the key: it needs no table, holds over restarts and on every api process, and ends when the key changes.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time

COOKIE = "s2e_session"
SESSION_S = 7 * 24 * 3600


class ExposedWithoutKeyError(Exception):
    """The service was told to listen where others can reach it, with nothing to keep them out."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"refusing to listen on {host!r} without a key: anybody who reaches it could run jobs. "
            "Set S2E_API_KEY (for instance to the output of: openssl rand -hex 32), or listen on 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """True if a host name or address is this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_exposure(host: str, api_key: str | None) -> None:
    """Raise ExposedWithoutKeyError for an address beyond loopback without a key."""
    if not api_key and not is_loopback(host):
        raise ExposedWithoutKeyError(host)


class KeyRing:
    """Compares keys and sessions in constant time; keeps the key's SHA-256 only."""

    def __init__(self, api_key: str) -> None:
        self._digest = _sha256(api_key)

    def accepts_key(self, key: str) -> bool:
        return hmac.compare_digest(_sha256(key), self._digest)

    def open_session(self, now_s: float | None = None) -> str:
        """A token ``expiry.signature`` that is good for a week."""
        expires = str(int((time.time() if now_s is None else now_s) + SESSION_S))
        return f"{expires}.{self._sign(expires)}"

    def accepts_session(self, token: str, now_s: float | None = None) -> bool:
        expires, _, signature = token.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(expires).encode()):
            return False
        return int(expires) > (time.time() if now_s is None else now_s)

    def _sign(self, expires: str) -> str:
        return _signature(self._digest, expires)


def open_session(digest: bytes, key_id: str) -> str:
    """A token ``key.expiry.signature`` of a key in the database, signed with its digest; good for a week."""
    expires = str(int(time.time() + SESSION_S))
    return f"{key_id}.{expires}.{_signature(digest, expires)}"


def session_parts(token: str) -> tuple[str, str, str]:
    """Key, expiry and signature of a token; the key of the settings has an empty id."""
    key_id, _, rest = token.rpartition(".")[0].rpartition(".")
    return key_id, rest, token.rpartition(".")[2]


def signed(digest: bytes, token: str) -> bool:
    """True if a token was signed with a key of this digest and has not expired."""
    _, expires, signature = session_parts(token)
    if not hmac.compare_digest(signature.encode(), _signature(digest, expires).encode()):
        return False
    return int(expires) > time.time()


def _signature(digest: bytes, expires: str) -> str:
    return hmac.new(digest, f"s2e session {expires}".encode(), hashlib.sha256).hexdigest()


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
