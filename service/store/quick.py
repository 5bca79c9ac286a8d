"""The busiest statements: they go to the driver as they are, on PostgreSQL prepared once for each connection.

Executing a statement through SQLAlchemy costs several times what the driver and the database need for a small one. Such
a statement is still written with SQLAlchemy's expressions, and compiled once for each of the two.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg
from sqlalchemy import ARRAY, ColumnElement, Connection, Executable, any_, bindparam, literal_column, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg as dialects
from sqlalchemy.exc import DBAPIError

Among = Callable[[Any, str], ColumnElement[bool]]
"""The condition that a column is one of a list, which is a parameter of this name."""
_DIALECT = dialects.dialect()  # type: ignore[no-untyped-call]
_SQLITE = sqlite.dialect(paramstyle="named")
Convert = Callable[[Any], Any]


def one_of(column: Any, names: Collection[str]) -> ColumnElement[bool]:
    """The condition that a column is one of our own words, which are in the text: a list of values would be expanded at
    each execution."""
    condition: ColumnElement[bool] = column.in_([literal_column(f"'{name}'") for name in names])
    return condition


def driver_of(connection: Connection) -> psycopg.Connection | None:
    """The driver's connection to PostgreSQL; None for SQLite's."""
    driver = connection.connection.driver_connection
    return driver if isinstance(driver, psycopg.Connection) else None


@contextmanager
def as_of_sqlalchemy(connection: Connection, statement: str) -> Iterator[None]:
    """Raise the driver's errors as SQLAlchemy raises those of its own statements."""
    try:
        yield
    except psycopg.Error as error:
        driver = driver_of(connection)
        is_lost = driver is None or driver.closed
        if is_lost:
            connection.invalidate(error)
        raise DBAPIError.instance(statement, None, error, psycopg.Error, connection_invalidated=is_lost) from error


def send(connection: Connection, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows, if any, of a statement for PostgreSQL with ``%(name)s`` for each value."""
    driver = driver_of(connection)
    assert driver is not None
    with as_of_sqlalchemy(connection, statement):
        cursor = driver.cursor().execute(statement, values, prepare=True)
        return cursor.fetchall() if cursor.description else []


class Quick:
    """A statement. ``make`` gets an :data:`Among`. Values are text, numbers, times and lists of them."""

    def __init__(self, make: Callable[[Among], Executable]) -> None:
        self._make = make

    def rows(self, connection: Connection, **values: Any) -> Sequence[Any]:
        """The rows of a query, as tuples; times may have another zone than UTC."""
        if connection.dialect.name == "sqlite":
            return self._of_sqlite(connection, values)
        return self._send(connection, values)

    def run(self, connection: Connection, **values: Any) -> None:
        """Execute what gives no rows."""
        if connection.dialect.name == "sqlite":
            self._of_sqlite(connection, values)
        else:
            self._send(connection, values)

    def _send(self, connection: Connection, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        text, constants = self._compiled
        return send(connection, text, constants | values)

    def _of_sqlite(self, connection: Connection, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        statement, constants, given, told = self._plain
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        named = {name: given[name](value) if name in given else value for name, value in values.items()}
        try:
            rows = driver.execute(statement, constants | named).fetchall()
        except sqlite3.Error as error:
            raise DBAPIError.instance(statement, None, error, sqlite3.Error) from error
        if not told or not rows:
            return rows
        columns = list(zip(*rows, strict=True))
        for i, convert in told.items():
            columns[i] = tuple(map(convert, columns[i]))
        return list(zip(*columns, strict=True))

    @cached_property
    def _plain(self) -> tuple[str, dict[str, Any], dict[str, Convert], dict[int, Convert]]:
        """The text for SQLite, the values that it has of its own, and the conversions of given values, by name, and of
        columns, by place."""
        lists: set[str] = set()

        def among(column: Any, name: str) -> ColumnElement[bool]:
            lists.add(name)
            listed = text(f"json_each(:{name})").bindparams(bindparam(name))
            condition: ColumnElement[bool] = column.in_(select(literal_column("value")).select_from(listed))
            return condition

        statement = self._make(among)
        compiled = statement.compile(dialect=_SQLITE)  # type: ignore[attr-defined]
        given: dict[str, Convert] = dict.fromkeys(lists, json.dumps)
        for name, parameter in compiled.binds.items():
            convert = parameter.type.dialect_impl(_SQLITE).bind_processor(_SQLITE)
            if name not in lists and convert is not None:
                given[name] = convert
        constants = {
            name: given.get(name, _same)(value) for name, value in compiled.params.items() if value is not None
        }
        told = {}
        for i, column in enumerate(getattr(statement, "exported_columns", ())):
            kind = column.type.dialect_impl(_SQLITE)
            if (convert := kind.result_processor(_SQLITE, None)) is not None:
                told[i] = convert
        return _whole(compiled), constants, given, told

    @cached_property
    def _compiled(self) -> tuple[str, dict[str, Any]]:
        """The text for PostgreSQL, and the values that it has of its own."""
        statement = self._make(lambda column, name: column == any_(bindparam(name, type_=ARRAY(column.type))))
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        return _whole(compiled), dict(compiled.params)


def _whole(compiled: Any) -> str:
    """The text, in which nothing is left to be expanded."""
    statement = str(compiled)
    assert "POSTCOMPILE" not in statement, statement
    return statement


def _same(value: Any) -> Any:
    return value
