"""Keys: made, looked up by their digest, revoked. A reader of the table cannot use them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from s2e.words.people import KeyIn
from service.errors import NotFound
from service.store.changes import clean, utc_now
from service.store.models import KeyRow

PREFIX = "s2e_"
"""Of every secret, so that scanners of repositories and people know one when they see it."""
_USED_S = 600.0
"""A use is written down this often at most."""


def digest_of(secret: str) -> str:
    """SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def create_key(session: Session, wanted: KeyIn, created_by: str) -> tuple[KeyRow, str]:
    """A new key and its secret, which cannot be recovered later."""
    key_id, at = secrets.token_hex(6), utc_now()
    secret = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
    row = KeyRow(
        id=key_id,
        digest=digest_of(secret),
        name=clean(wanted.name),
        owner=clean(wanted.owner),
        scopes=" ".join(dict.fromkeys(wanted.scopes)),
        created_at=at,
        created_by=created_by,
        expires_at=None if wanted.days is None else at + timedelta(days=wanted.days),
    )
    session.add(row)
    session.flush()
    return row, secret


def all_keys(session: Session) -> Sequence[KeyRow]:
    """Every key that ever was, oldest first."""
    return session.scalars(select(KeyRow).order_by(KeyRow.created_at, KeyRow.id)).all()


def by_digest(session: Session, digest: str) -> KeyRow | None:
    return session.scalar(select(KeyRow).where(KeyRow.digest == digest))


def by_id(session: Session, key_id: str) -> KeyRow | None:
    return session.get(KeyRow, key_id)


def revoke_key(session: Session, key_id: str) -> KeyRow:
    """End a key; one that has ended stays as it is. Raises NotFound."""
    row = session.get(KeyRow, key_id)
    if row is None:
        raise NotFound("key", key_id)
    row.revoked_at = row.revoked_at or utc_now()
    session.flush()
    return row


def state_of(row: KeyRow, now: datetime | None = None) -> str:
    """``valid``, ``expired`` or ``revoked``."""
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= (now or utc_now()) else "valid"


def is_stale(row: KeyRow) -> bool:
    """True if its last use is due to be written down again."""
    return row.last_used_at is None or utc_now() - row.last_used_at > timedelta(seconds=_USED_S)


def mark_used(session: Session, key_id: str) -> None:
    session.execute(update(KeyRow).where(KeyRow.id == key_id).values(last_used_at=utc_now()))
