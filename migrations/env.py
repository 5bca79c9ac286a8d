"""Runs migrations on SQLite and PostgreSQL from one chain of scripts."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, func, select

from service.settings import Settings
from service.store.engine import make_engine
from service.store.models import Base

LOCK = 0x533245
"""Any number, the same in every program that migrates this database."""


def run() -> None:
    """All scripts in one transaction, alone; SQLite changes tables by copying them (batch mode)."""
    config = context.config
    engine = make_engine(config.attributes.get("url") or Settings().database_url)
    is_sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        if is_sqlite:
            # A table that is copied and dropped must not take its children along. No effect inside a transaction.
            connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        _migrate(connection, is_sqlite)
    engine.dispose()


def _migrate(connection: Connection, is_sqlite: bool) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=is_sqlite,
        transactional_ddl=True,
        compare_type=True,
    )
    with context.begin_transaction():
        if not is_sqlite:  # there BEGIN IMMEDIATE does it: of two programs that start together, one migrates
            connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
        context.run_migrations()


run()
