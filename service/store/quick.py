"""The busiest statements: on PostgreSQL they go to the driver as they are, prepared once for each connection.

Executing a statement through SQLAlchemy costs several times what the driver and the server need for a small one. Such a
statement is still written with SQLAlchemy's expressions, and compiled once. On SQLite it is executed in the usual way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg
from sqlalchemy import ARRAY, ColumnElement, Connection, Executable, any_, bindparam
from sqlalchemy.dialects.postgresql import psycopg as dialects
from sqlalchemy.exc import DBAPIError

Among = Callable[[Any, str], ColumnElement[bool]]
"""The condition that a column is one of a list, which is a parameter of this name."""
_DIALECT = dialects.dialect()  # type: ignore[no-untyped-call]


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
            return connection.execute(self._plain, values).all()
        return self._send(connection, values)

    def run(self, connection: Connection, **values: Any) -> None:
        """Execute what gives no rows."""
        if connection.dialect.name == "sqlite":
            connection.execute(self._plain, values)
        else:
            self._send(connection, values)

    def _send(self, connection: Connection, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        text, constants = self._compiled
        return send(connection, text, constants | values)

    @cached_property
    def _plain(self) -> Executable:
        return self._make(lambda column, name: column.in_(bindparam(name, expanding=True)))

    @cached_property
    def _compiled(self) -> tuple[str, dict[str, Any]]:
        """The text for PostgreSQL, and the values that it has of its own."""
        statement = self._make(lambda column, name: column == any_(bindparam(name, type_=ARRAY(column.type))))
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        return str(compiled), dict(compiled.params)
