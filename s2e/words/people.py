"""The scopes of keys, and the API's words about people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from s2e.words.fields import param

READ, SUBMIT, WORKER, ADMIN = "read", "submit", "worker", "admin"
SCOPES = (READ, SUBMIT, WORKER, ADMIN)
"""``read``: look at everything; part of every scope. ``submit``: hand in jobs, and change or delete those of one's own.
``worker``: train trials of external jobs of one's own. ``admin``: all of it, of everybody, and the keys."""


@dataclass(frozen=True, kw_only=True)
class KeyIn:
    """A key to be made."""

    name: str = param(max_length=80, doc="what it is for, for people")
    owner: str = param(max_length=80, doc="whose it is: a person or a team; jobs, quotas and shares are counted by it")
    scopes: tuple[str, ...] = param((READ, SUBMIT), doc="some of read, submit, worker, admin")
    days: float | None = param(None, gt=0, le=3650, doc="days until it expires; null: it does not")


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key, without the secret: that is shown once, when the key is made."""

    id: str
    name: str
    owner: str
    scopes: tuple[str, ...]
    state: str = param(choices=("valid", "expired", "revoked"), doc="")
    created_at: datetime
    created_by: str = param(doc="owner of the key that made it")
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = param(doc="to ten minutes; null: never")


@dataclass(frozen=True, kw_only=True)
class NewKey(Key):
    """A key that has just been made, with its secret."""

    secret: str = param(doc="send it as 'Authorization: Bearer SECRET'; it is stored nowhere and never shown again")


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The owner and scopes of the caller, and how much of the quotas is used."""

    owner: str = param(doc="empty where the service has no keys")
    key_id: str | None = param(doc="null: the key of the settings, or none")
    scopes: tuple[str, ...]
    jobs_open: int = param(doc="jobs of this owner that have not ended")
    jobs_open_most: int = param(doc="0: no limit")
    trials_under_way: int
    trials_under_way_most: int = param(doc="0: no limit")


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """Something that somebody changed."""

    id: int
    at: datetime
    owner: str = param(doc="empty where the service has no keys")
    key_id: str | None = param(doc="null: the key of the settings, or none")
    action: str = param(doc="operationId, such as cancel_job")
    target: str = param(doc="id of the job, trial, key or webhook")
    request_id: str
    address: str = param(doc="of who asked")
