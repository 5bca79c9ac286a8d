"""Many rows in one statement.

SQLite's driver is fastest with ``executemany``. PostgreSQL's sends a message for each row of it; there all rows are one
parameter, as JSON, under a statement that stays prepared. Floats survive it bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import psycopg
from psycopg.types.json import Json as PsycopgJson
from sqlalchemy import Connection, Dialect, Table, Update, bindparam, insert, update
from sqlalchemy.dialects import sqlite

from service.store.quick import as_of_sqlalchemy, send

COPIED = 32
"""Rows from which on COPY is faster."""
Rows = Sequence[Mapping[str, Any]]


def insert_many(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert ``rows``, which all have the same columns."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), rows)
    elif len(rows) < COPIED:
        send(connection, _insert(table, tuple(rows[0]), ""), _as_json(rows))
    else:
        _copy(connection, table, rows)


def insert_new(connection: Connection, table: Table, rows: Rows, returning: Sequence[str]) -> list[tuple[Any, ...]]:
    """Insert those of ``rows`` whose key is not there yet; the columns ``returning`` of these, in any order."""
    if connection.dialect.name == "sqlite":
        statement = sqlite.insert(table).on_conflict_do_nothing().returning(*(table.c[name] for name in returning))
        return [tuple(row) for row in connection.execute(statement, rows)]
    tail = f" ON CONFLICT DO NOTHING RETURNING {', '.join(returning)}"
    return send(connection, _insert(table, tuple(rows[0]), tail), _as_json(rows))


def update_many(connection: Connection, table: Table, rows: Rows) -> None:
    """Set the other columns of these ``rows`` where the ``id`` is theirs; all have the same columns."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        named = [{f"_{name}": value for name, value in row.items()} for row in rows]
        connection.execute(_update(table, tuple(rows[0])), named)
    else:
        send(connection, _update_text(table, tuple(rows[0])), _as_json(rows))


@cache
def _update(table: Table, columns: tuple[str, ...]) -> Update:
    values: dict[str, Any] = {name: bindparam(f"_{name}") for name in columns if name != "id"}
    return update(table).where(table.c.id == bindparam("_id")).values(values)


# Names of our own tables and columns are all that the following texts are made of.


@cache
def _update_text(table: Table, columns: tuple[str, ...]) -> str:
    values = ", ".join(f'"{name}" = given."{name}"' for name in columns if name != "id")
    return f'UPDATE "{table.name}" SET {values} FROM {_given(table)} WHERE "{table.name}".id = given.id'  # noqa: S608


@cache
def _insert(table: Table, columns: tuple[str, ...], tail: str) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM {_given(table)}{tail}'  # noqa: S608


def _given(table: Table) -> str:
    """The rows of :func:`_as_json` as a table."""
    return f'json_populate_recordset(NULL::"{table.name}", %(rows)s::json) AS given'


def _as_json(rows: Rows) -> dict[str, str]:
    """Rows as the value of the parameter ``rows``; what is null in them need not be said."""
    told = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return {"rows": json.dumps(told, default=_text_of, allow_nan=False)}


def _text_of(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is in no column")


def _copy(connection: Connection, table: Table, rows: Rows) -> None:
    """COPY in the transaction of ``connection``."""
    columns = tuple(rows[0])
    values = [_plain(column) for column in _arrays(connection.dialect, table, rows).values()]
    names = ", ".join(f'"{name}"' for name in columns)
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    statement = f'COPY "{table.name}" ({names}) FROM STDIN'
    with as_of_sqlalchemy(connection, statement), driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in zip(*values, strict=True):
            copy.write_row(row)


def _plain(values: list[Any]) -> list[Any]:
    """JSON as its text: what the driver wraps it in is written by Python, row by row."""
    return [json.dumps(value.obj) if isinstance(value, PsycopgJson) else value for value in values]


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
