"""All rows from one database to another of either kind, and backups. Numbers arrive bit for bit, so replay holds.

The copy is one state of the source: changes made meanwhile are not in it. Rows that say who is alive stay behind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Table, func, insert, select, text, update
from sqlalchemy.orm import Session

from service.store import leases
from service.store.engine import Database, migrate
from service.store.models import Base, DispatcherRow, Job, WorkerRow

ROWS = 2_000
"""Of one insert."""
_STAY = {DispatcherRow.__tablename__, WorkerRow.__tablename__}
TABLES = [table for table in Base.metadata.sorted_tables if table.name not in _STAY]
"""The tables that are copied, each behind those it refers to."""


class TransferError(Exception):
    """A copy that would lose or mix something; the message says how to avoid it."""


def copy(source_url: str, target_url: str, say: Callable[[str, int], None], *, live: bool = False) -> None:
    """Copy every row into an empty database, whose schema is made if need be; ``say`` hears each table and its rows.

    ``live``: the source may be in use, and the copy is its state now. Raises TransferError.
    """
    source = Database(source_url, pool=2)
    try:
        if not source.at_head():
            raise TransferError("the schema of the source is not the one of this release; run: s2e migrate")
        migrate(target_url)
        target = Database(target_url, pool=2)
        try:
            _copy(source, target, say, live)
        finally:
            target.close()
    finally:
        source.close()


def _copy(source: Database, target: Database, say: Callable[[str, int], None], live: bool) -> None:
    with source.read() as reader, target.write() as writer:
        if not live and not leases.no_dispatcher(reader):
            raise TransferError("a dispatcher works on the source: stop the service first, or rows are left behind")
        if there := [table.name for table in TABLES if _n_rows(writer, table)]:
            raise TransferError(f"the target is not empty: there are rows in {', '.join(there)}")
        for table in TABLES:
            say(table.name, _copy_table(reader, writer, table))
        writer.execute(update(Job).values(lease_owner=None, lease_until=None))
        for table in TABLES:
            _continue_numbers(writer, table)
        for table in TABLES:
            if _n_rows(reader, table) != _n_rows(writer, table):
                raise TransferError(f"rows of {table.name} are missing in the target")


def _copy_table(reader: Session, writer: Session, table: Table) -> int:
    n = 0
    rows = reader.execute(select(table).order_by(*table.primary_key).execution_options(yield_per=ROWS))
    for part in rows.mappings().partitions(ROWS):
        writer.execute(insert(table), [dict(row) for row in part])
        n += len(part)
    return n


def _n_rows(session: Session, table: Table) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def _continue_numbers(writer: Session, table: Table) -> None:
    """PostgreSQL numbers new rows by a counter of its own, which knows nothing of rows that came with a number."""
    column = table.autoincrement_column
    if writer.get_bind().dialect.name != "postgresql" or column is None:
        return
    last = writer.scalar(select(func.max(column)))
    if last is not None:
        named = {"table": table.name, "column": column.name, "last": last}
        writer.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"), named)


def backup(url: str, file: Path, say: Callable[[str, int], None]) -> None:
    """Write the state of a database, which may be in use, to a SQLite file. Raises TransferError."""
    if file.exists():
        raise TransferError(f"{file} is there already")
    part = file.with_name(file.name + ".part")
    part.unlink(missing_ok=True)
    try:
        copy(url, f"sqlite:///{part}", say, live=True)
        with closing(sqlite3.connect(part)) as connection:  # one file, nothing beside it
            connection.execute("PRAGMA journal_mode=DELETE")
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
