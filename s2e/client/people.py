"""The client's calls about people: keys, the caller's own identity, and the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar

from s2e.words.answers import Items, Page
from s2e.words.people import READ, SUBMIT, AuditEntry, Caller, Key, NewKey

Shape = TypeVar("Shape")


class _Asks(Protocol):
    def _ask(self, shape: type[Shape], method: str, path: str, **more: Any) -> Shape: ...

    def _pages(self, shape: type[Page[Shape]], path: str, params: Mapping[str, Any]) -> Iterator[Shape]: ...


class PeopleCalls:
    """Calls of :class:`s2e.client.S2EClient`."""

    def me(self: _Asks) -> Caller:
        """The owner and scopes of this key, and how much of the quotas is used."""
        return self._ask(Caller, "GET", "/me")

    def create_key(
        self: _Asks, name: str, owner: str, scopes: tuple[str, ...] = (READ, SUBMIT), days: float | None = None
    ) -> NewKey:
        """A new key; its secret is in this answer and nowhere else. Needs the scope admin."""
        body = {"name": name, "owner": owner, "scopes": scopes, "days": days}
        return self._ask(NewKey, "POST", "/keys", json=body)

    def all_keys(self: _Asks) -> tuple[Key, ...]:
        """Every key, without its secret. Needs the scope admin."""
        return self._ask(Items[Key], "GET", "/keys").items

    def revoke_key(self: _Asks, key_id: str) -> Key:
        """End a key at once. Needs the scope admin."""
        return self._ask(Key, "POST", f"/keys/{key_id}/revoke")

    def audit(self: _Asks, owner: str | None = None, target: str | None = None) -> Iterator[AuditEntry]:
        """The audit log, newest entry first: each change and who made it. Needs the scope admin."""
        return self._pages(Page[AuditEntry], "/audit", {"owner": owner, "target": target})
