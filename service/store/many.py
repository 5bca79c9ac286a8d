"""Many rows in one statement.

SQLite's driver is fastest with ``executemany``. PostgreSQL's sends a message for each row of it, and splits the text of
a long VALUES anew each time; there one array a column goes over the wire, under a statement that stays prepared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import psycopg
from psycopg.types.json import Json as PsycopgJson
from sqlalchemy import Connection, CursorResult, Dialect, Table, TextClause, insert, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

COPIED = 8
"""Rows from which on COPY is faster."""
Rows = Sequence[Mapping[str, Any]]


def insert_many(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert ``rows``, which all have the same columns."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), rows)
    elif len(rows) < COPIED:
        _insert_arrays(connection, table, rows, "")
    else:
        _copy(connection, table, rows)


def insert_new(connection: Connection, table: Table, rows: Rows, returning: Sequence[str]) -> list[tuple[Any, ...]]:
    """Insert those of ``rows`` whose key is not there yet; the columns ``returning`` of these, in any order."""
    if connection.dialect.name == "sqlite":
        statement = sqlite.insert(table).on_conflict_do_nothing().returning(*(table.c[name] for name in returning))
        return [tuple(row) for row in connection.execute(statement, rows)]
    tail = f"ON CONFLICT DO NOTHING RETURNING {', '.join(returning)}"
    return [tuple(row) for row in _insert_arrays(connection, table, rows, tail)]


def _insert_arrays(connection: Connection, table: Table, rows: Rows, tail: str) -> CursorResult[Any]:
    """One array for each column that has a value anywhere; the others are null without being named."""
    arrays = _arrays(connection.dialect, table, rows)
    told = {name: values for name, values in arrays.items() if any(value is not None for value in values)}
    return connection.execute(_from_arrays(table, tuple(told), tail), told)


def _copy(connection: Connection, table: Table, rows: Rows) -> None:
    """COPY in the transaction of ``connection``."""
    columns = tuple(rows[0])
    values = [_plain(column) for column in _arrays(connection.dialect, table, rows).values()]
    names = ", ".join(f'"{name}"' for name in columns)
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    statement = f'COPY "{table.name}" ({names}) FROM STDIN'
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in zip(*values, strict=True):
                copy.write_row(row)
    except psycopg.Error as error:  # as SQLAlchemy raises it of its own statements
        is_lost = driver.closed
        if is_lost:
            connection.invalidate(error)
        raise DBAPIError.instance(statement, None, error, psycopg.Error, connection_invalidated=is_lost) from error


def _plain(values: list[Any]) -> list[Any]:
    """JSON as its text: what the driver wraps it in is written by Python, row by row."""
    return [json.dumps(value.obj) if isinstance(value, PsycopgJson) else value for value in values]


@cache
def _from_arrays(table: Table, columns: tuple[str, ...], tail: str) -> TextClause:
    names = ", ".join(f'"{name}"' for name in columns)
    arrays = ", ".join(f"CAST(:{name} AS {_kind(table, name)}[])" for name in columns)
    # names of our own tables and columns
    return text(f'INSERT INTO "{table.name}" ({names}) SELECT * FROM unnest({arrays}) {tail}')  # noqa: S608


def _kind(table: Table, name: str) -> str:
    return table.c[name].type.compile(postgresql.dialect())  # type: ignore[no-untyped-call]


def _arrays(dialect: Dialect, table: Table, rows: Rows) -> dict[str, list[Any]]:
    arrays = {}
    for name in rows[0]:
        bind = _binder(dialect, table, name)
        values = [row[name] for row in rows]
        arrays[name] = values if bind is None else [bind(value) for value in values]
    return arrays


@cache
def _binder(dialect: Dialect, table: Table, name: str) -> Any:
    """SQLAlchemy's conversion of a value to one that the driver takes; None if the driver takes it as it is."""
    kind = table.c[name].type
    return kind.dialect_impl(dialect).bind_processor(dialect)
