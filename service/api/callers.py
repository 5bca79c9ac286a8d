"""Identifies callers: the key of a request, or a browser's session, is looked up and remembered for a moment.

A key that is shown is always judged, also where none is needed. A key that was revoked or has expired is refused within
``REMEMBERED_S`` by every api process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from s2e.words.people import ADMIN, READ, SCOPES
from service.api.auth import COOKIE, KeyRing, open_session, session_parts, signed
from service.api.limits import Buckets
from service.errors import TooMany, Unauthorized
from service.store import keys
from service.store.engine import Database

REMEMBERED_S = 2.0
MOST_REMEMBERED = 10_000
WRONG_KEYS, WRONG_KEYS_PER_S = 10, 0.2
"""Wrong keys from one address at once, and after them one in five seconds."""


@dataclass(frozen=True)
class Caller:
    """The sender of a request."""

    owner: str
    key_id: str | None
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return scope in self.scopes or ADMIN in self.scopes or scope == READ

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.scopes


LOCAL = Caller("", None, frozenset(SCOPES))
"""Anybody who reaches a service without keys: the users of this machine."""
BOOTSTRAP = Caller("admin", None, frozenset(SCOPES))
"""Anybody who has the key of the settings."""


@dataclass(frozen=True)
class _Known:
    """A key as the database has it."""

    caller: Caller
    digest: str


class Callers:
    """Identifies callers. ``ring``: the key of the settings; None: callers without a key are let in."""

    def __init__(
        self, database: Database, ring: KeyRing | None, rate_per_s: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._database, self._ring, self._now_s = database, ring, now_s
        self._by_digest: dict[str, tuple[_Known | None, float]] = {}
        self._by_id: dict[str, tuple[_Known | None, float]] = {}
        self._good: dict[str, None] = {}
        """Digests that were good once: who shows such a key is not slowed down by the guesses of others."""
        self._wrong = Buckets(WRONG_KEYS_PER_S, WRONG_KEYS, now_s)
        self._asked = Buckets(rate_per_s, 10 * rate_per_s, now_s) if rate_per_s else None

    @property
    def needs_key(self) -> bool:
        return self._ring is not None

    def judges(self, secret: str) -> bool:
        """True if a secret is judged: any where a key is needed, and elsewhere only one that has the form of ours."""
        return self._ring is not None or secret.startswith(keys.PREFIX)

    async def of_request(self, request: HTTPConnection) -> Caller:
        """The sender of a request to the API. Raises Unauthorized, TooMany."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        secret, cookie = token.strip() if scheme.lower() == "bearer" else "", request.cookies.get(COOKIE, "")
        if not self.judges(secret) and not cookie:
            return LOCAL
        caller = await self.of_secret(secret, _address(request)) if secret and self.judges(secret) else None
        if caller is None and cookie:
            caller = await self._of_cookie(cookie)
        if caller is None and not self.judges(secret):
            return LOCAL
        if caller is None:
            raise Unauthorized("an API key is needed: send 'Authorization: Bearer KEY'")
        self._count(caller)
        return caller

    async def of_secret(self, secret: str, address: str) -> Caller | None:
        """The owner of a secret; None: nobody. Raises TooMany after many wrong secrets from an address."""
        digest = keys.digest_of(secret)
        if digest not in self._good and (wait_s := self._wrong.wait_s(address)):
            raise TooMany("too many wrong keys came from your address; wait", wait_s)
        caller = await self._of_digest(secret, digest)
        if caller is None:
            self._wrong.take(address)
        elif digest not in self._good:
            self._good[digest] = None
            if len(self._good) > MOST_REMEMBERED:
                del self._good[next(iter(self._good))]
        return caller

    async def _of_digest(self, secret: str, digest: str) -> Caller | None:
        if self._ring is not None and self._ring.accepts_key(secret):
            return BOOTSTRAP
        known = self._fresh(self._by_digest, digest)
        if known is None:
            known = await run_in_threadpool(self._look_up, digest, None)
            self._remember(self._by_digest, digest, known)
        return None if known is None else known.caller

    async def session_for(self, secret: str, address: str) -> str | None:
        """The cookie that a browser gets for a secret; None for a wrong one. Raises TooMany."""
        caller = await self.of_secret(secret, address)
        if caller is None:
            return None
        if caller.key_id is None:
            assert self._ring is not None
            return self._ring.open_session()
        return open_session(bytes.fromhex(keys.digest_of(secret)), caller.key_id)

    async def still_may(self, caller: Caller) -> bool:
        """True if the key of a caller who was let in before is still good."""
        return caller.key_id is None or await self._of_id(caller.key_id) is not None

    async def _of_cookie(self, cookie: str) -> Caller | None:
        key_id, _, _ = session_parts(cookie)
        if not key_id:
            return BOOTSTRAP if self._ring is not None and self._ring.accepts_session(cookie) else None
        known = await self._of_id(key_id)
        return known.caller if known is not None and signed(bytes.fromhex(known.digest), cookie) else None

    async def _of_id(self, key_id: str) -> _Known | None:
        known = self._fresh(self._by_id, key_id)
        if known is None:
            known = await run_in_threadpool(self._look_up, None, key_id)
            self._remember(self._by_id, key_id, known)
        return known

    def _fresh(self, where: dict[str, tuple[_Known | None, float]], name: str) -> _Known | None:
        known, until_s = where.get(name, (None, 0.0))
        return known if self._now_s() < until_s else None

    def _remember(self, where: dict[str, tuple[_Known | None, float]], name: str, known: _Known | None) -> None:
        where.pop(name, None)
        if known is not None:
            where[name] = (known, self._now_s() + REMEMBERED_S)
        if len(where) > MOST_REMEMBERED:
            del where[next(iter(where))]

    def _look_up(self, digest: str | None, key_id: str | None) -> _Known | None:
        with self._database.read() as session:
            row = keys.by_digest(session, digest) if digest is not None else keys.by_id(session, key_id or "")
        if row is None or keys.state_of(row) != "valid":
            return None
        if keys.is_stale(row):
            with self._database.write() as session:
                keys.mark_used(session, row.id)
        return _Known(Caller(row.owner, row.id, frozenset(row.scopes.split())), row.digest)

    def _count(self, caller: Caller) -> None:
        if self._asked is not None and (wait_s := self._asked.take(caller.key_id or "")):
            raise TooMany("this key asks too often; wait (S2E_KEY_RATE_PER_S)", wait_s)


def _address(request: HTTPConnection) -> str:
    return request.client.host if request.client else ""
