"""The database's clock. Leases of several machines go by it, because their own may be an hour apart."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from service.store.changes import utc_now

_NOW = text("SELECT clock_timestamp()")


def database_now(session: Session) -> datetime:
    """The time where the database runs: with SQLite that is this machine."""
    if session.get_bind().dialect.name == "sqlite":
        return utc_now()
    now: datetime = session.execute(_NOW).scalar_one()
    return now
