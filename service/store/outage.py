"""Outages among the errors of the database: it is away, locked, full or read-only, and asking again later may help.

All other errors of the database are bugs of ours. Both drivers tell them apart by a code; messages are not parsed.
"""

from __future__ import annotations

import sqlite3

import psycopg
from sqlalchemy import exc

OUTAGES = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError)
"""Errors to catch; :func:`reason_of` tells whether one of them is an outage."""


class WritersWaitError(exc.TimeoutError):
    """More writers of this process wait for SQLite than its queue takes, or one has waited for too long."""


_SQLITE = {
    sqlite3.SQLITE_BUSY: "it is locked by another program",
    sqlite3.SQLITE_LOCKED: "it is locked by another program",
    sqlite3.SQLITE_FULL: "its disk is full",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_IOERR: "its disk does not answer",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_NOMEM: "it is out of memory",
    sqlite3.SQLITE_PROTOCOL: "it is locked by another program",
}
"""Primary result codes; the extended ones have more bits above these eight."""
_POSTGRES = {
    "08": "the connection was lost",
    "53": "it has no room (disk, memory or connections)",
    "57P": "it is being stopped or started",
    "55P03": "a lock could not be had in time",
    "40": "it could not order this among other transactions",
    "58": "its disk does not answer",
    "25006": "it is read-only",
}
"""Classes and codes of SQLSTATE, PostgreSQL's appendix A."""


def reason_of(error: BaseException) -> str | None:
    """Why the database cannot serve now, in words; None for an error that is not an outage."""
    if isinstance(error, WritersWaitError):
        return "too many writers wait for it"
    if isinstance(error, exc.TimeoutError):
        return "all its connections are in use"
    if not isinstance(error, exc.DBAPIError):
        return None
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        return None if code is None else _SQLITE.get(code & 0xFF)
    if isinstance(cause, psycopg.Error) and cause.sqlstate is not None:
        state = cause.sqlstate
        return next((reason for prefix, reason in _POSTGRES.items() if state.startswith(prefix)), None)
    if error.connection_invalidated or isinstance(cause, psycopg.OperationalError):  # without a code it never answered
        return "the connection was lost"
    return None
