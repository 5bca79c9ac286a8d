"""The database: engines, the two kinds of transaction, and migrations.

SQLite has one writer at a time. A transaction that reads first and writes later cannot be promoted once another has
written ("database is locked", whatever the timeout), so a writing transaction takes the write lock at its start (BEGIN
IMMEDIATE) and a reading one never does. Which of the two it will be is said when it is opened: :meth:`Database.read` or
:meth:`Database.write`; both databases then refuse a write inside a read.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from service.store.outage import WritersWaitError
from service.store.watch import Bell, Watch

_READ_ONLY = "s2e_read_only"
_USED_S = "s2e_used_s"
_SQLITE_PRAGMAS = ("synchronous=NORMAL", "foreign_keys=ON")
WAIT_S = 10.0
"""Longest wait for a lock of SQLite, or for a free connection: behind it, the database is away."""
POOL = 20
"""Most connections of one process; PostgreSQL has a hundred for all of them unless it is told otherwise."""
RESTED_S = 0.1
"""A server's connection that was used so lately is used again unasked: the question costs a round trip."""
WRITERS = 32
"""Most writers of one process that may wait for SQLite."""


class WriteQueue:
    """Lets one thread of this process write at a time, in the order they came.

    SQLite's own lock is not fair: who asks for it again and again may never get it among many. Behind this queue only
    other processes compete for it, one writer each.
    """

    def __init__(self, most: int, wait_s: float) -> None:
        self._most, self._wait_s = most, wait_s
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the others. Raises WritersWaitError."""
        mine = threading.Event()
        with self._lock:
            if len(self._queue) >= self._most:
                raise WritersWaitError(f"{len(self._queue)} writers wait")
            self._queue.append(mine)
            self._queue[0].set()
        try:
            if not mine.wait(self._wait_s):
                raise WritersWaitError(f"waited for {self._wait_s:g} s")
            yield
        finally:
            with self._lock:
                self._queue.remove(mine)
                if self._queue:
                    self._queue[0].set()


class Database:
    """An engine and its two kinds of session. ``write`` commits at its end unless an exception passes."""

    _bell: Bell | None = None
    """Notifications of a server; None where there are none."""

    def __init__(self, url: str, *, pool: int = POOL, wait_s: float = WAIT_S) -> None:
        self.engine = make_engine(url, pool=pool, wait_s=wait_s)
        # A reader sees one state of the database from its first statement to its last, as SQLite's readers do anyway.
        snapshot = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        reader = self.engine.execution_options(**{_READ_ONLY: True, "postgresql_readonly": True, **snapshot})
        self._writers = WriteQueue(WRITERS, wait_s) if self.engine.dialect.name == "sqlite" else None
        self._reader = sessionmaker(reader, expire_on_commit=False)
        self._writer = sessionmaker(self.engine, expire_on_commit=False)
        if self.engine.dialect.name != "sqlite":
            self._bell = Bell(self.engine.url)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for SELECT only; it holds no lock that a writer waits for."""
        with self._reader() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One writing transaction. Raises WritersWaitError where those of this process queue for SQLite."""
        turn = nullcontext() if self._writers is None else self._writers.turn()
        with turn, self._writer() as session, session.begin():
            yield session

    def watch(self) -> Watch:
        """A look at whether anything was written."""
        return Watch(self.engine.url, self._bell)

    def at_head(self) -> bool:
        """True if the schema is the one this program was written for."""
        return at_head(self.engine)

    def close(self) -> None:
        if self._bell is not None:
            self._bell.close()
        self.engine.dispose()


def make_engine(url: str, *, pool: int = POOL, wait_s: float = WAIT_S) -> Engine:
    """An engine for ``sqlite:///...`` or ``postgresql://...`` (psycopg 3)."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        in_memory = not parsed.database or parsed.database == ":memory:"  # has a pool of its own kind
        sizes = {} if in_memory else {"pool_size": pool, "max_overflow": 0, "pool_timeout": wait_s}
        engine = create_engine(parsed, **sizes)
        event.listen(engine, "connect", partial(_prepare_sqlite, wait_s=wait_s))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(parsed, pool_size=pool, max_overflow=0, pool_timeout=wait_s)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", partial(_ask_after_rest, engine.dialect))
    return engine


def _note_use(_connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    entry.info[_USED_S] = time.monotonic()


def _ask_after_rest(dialect: Dialect, connection: DBAPIConnection, entry: ConnectionPoolEntry, _: object) -> None:
    """Ask a server's connection whether it still stands, unless it has just been used; the pool replaces a lost one."""
    if time.monotonic() - entry.info.get(_USED_S, math.inf) > RESTED_S:
        try:
            dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError("a connection was lost") from error


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry, wait_s: float) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # the driver opens no transaction of its own; _begin_sqlite does
    connection.execute(f"PRAGMA busy_timeout={int(1000 * wait_s)}")
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):  # stored in the file; setting it is a write
        connection.execute("PRAGMA journal_mode=WAL")
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    read_only = bool(connection.get_execution_options().get(_READ_ONLY))
    # What touches no file cannot fail as a statement may, so it takes the short way, twenty times as fast.
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    if connection.info.get(_READ_ONLY) != read_only:
        driver.execute(f"PRAGMA query_only={int(read_only)}")
        connection.info[_READ_ONLY] = read_only
    if read_only:
        driver.execute("BEGIN")
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def alembic_config(url: str) -> Config:
    """Alembic's configuration without a file: the scripts lie in the wheel, or at the root of a checkout."""
    here = Path(__file__).parent
    packaged = here / "migrations"
    config = Config()
    config.set_main_option("script_location", str(packaged if packaged.is_dir() else here.parents[1] / "migrations"))
    config.attributes["url"] = url  # not a main option: a password may hold %, and options are printed
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema up to ``revision``; on a database that is there already, nothing happens."""
    command.upgrade(alembic_config(url), revision)


def at_head(engine: Engine) -> bool:
    """True if the migrations stored in the database are all that this program knows."""
    with engine.connect() as connection:
        heads: Any = MigrationContext.configure(connection).get_current_heads()
    return set(heads) == _newest()


@cache
def _newest() -> frozenset[str]:
    """The last of the migrations; what a program knows does not change while it runs."""
    return frozenset(ScriptDirectory.from_config(alembic_config("")).get_heads())
