"""Statements that pass by SQLAlchemy's execution: the same rows, types and errors on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import bindparam, exc, insert, select, update

from service.store import leases, populations
from service.store.engine import Database
from service.store.models import Base, WorkerRow
from service.store.quick import Quick, one_of

_W = Base.metadata.tables[WorkerRow.__tablename__]
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
NAMED = Quick(
    lambda among: (
        select(_W.c.name, _W.c.cpus, _W.c.circuits, _W.c.seen_at, _W.c.quarantined_until)
        .where(among(_W.c.name, "names"), _W.c.seen_at <= bindparam("at"), one_of(_W.c.trouble, ("", "shut")))
        .order_by(_W.c.name)
        .limit(bindparam("most"))
    )
)
SEEN = Quick(lambda among: update(_W).where(among(_W.c.name, "names")).values(seen_at=bindparam("at"), busy=3))


@pytest.fixture
def stored(each_database: Database) -> Database:
    row: dict[str, Any] = {"cpus": 0.1 + 0.2, "gpus": 0.0, "busy": 0, "trouble": "", "seen_at": AT}
    with each_database.write() as session:
        circuits = {"a": [{"x": 1e16}], "b'\"": [], "c": []}
        session.execute(insert(WorkerRow), [row | {"name": name, "circuits": of} for name, of in circuits.items()])
    return each_database


def test_lists_times_and_json_are_as_sqlalchemy_has_them(stored: Database) -> None:
    with stored.read() as session:
        rows = NAMED.rows(session.connection(), names=["a", "b'\"", "nobody"], at=AT, most=9)
        assert [(*row[:3], row[3].astimezone(UTC), row[4]) for row in rows] == [
            ("a", 0.1 + 0.2, [{"x": 1e16}], AT, None),
            ("b'\"", 0.1 + 0.2, [], AT, None),
        ]
        assert len(NAMED.rows(session.connection(), names=["a", "b'\"", "c"], at=AT, most=2)) == 2
        assert NAMED.rows(session.connection(), names=[], at=AT, most=2) == []


def test_what_is_written_is_read_back_and_taken_back_with_its_transaction(stored: Database) -> None:
    later = AT.replace(year=2027)
    with stored.write() as session:
        SEEN.run(session.connection(), names=["a"], at=later)
        session.rollback()
    with stored.read() as session:
        assert len(NAMED.rows(session.connection(), names=["a"], at=AT, most=1)) == 1
    with stored.write() as session:
        SEEN.run(session.connection(), names=["a", "c"], at=later)
    with stored.read() as session:
        rows = session.execute(select(WorkerRow.name, WorkerRow.seen_at, WorkerRow.busy).order_by(WorkerRow.name)).all()
    assert [tuple(row) for row in rows] == [("a", later, 3), ("b'\"", AT, 0), ("c", later, 3)]


def test_an_error_of_the_driver_is_one_of_sqlalchemy(stored: Database) -> None:
    with pytest.raises(exc.DBAPIError), stored.read() as session:
        SEEN.run(session.connection(), names=["a"], at=AT)  # a reader writes nothing


def test_a_list_of_words_that_would_be_expanded_is_refused(stored: Database) -> None:
    expanded = Quick(lambda _: select(_W.c.name).where(_W.c.name.in_(["a"])))
    with pytest.raises(AssertionError, match="POSTCOMPILE"), stored.read() as session:
        expanded.rows(session.connection())


def test_epochs_that_are_known_are_looked_for_where_they_would_be(database: Database) -> None:
    """Without the attempt, the index of a trial is read from its first epoch on."""
    statement, *_ = populations._KNOWN._plain
    given = {"trials": '["a", "b"]', "attempts": "[1]", "first": 10, "last": 20}
    with database.read() as session:
        plan = [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)]
    assert any("(trial_id=? AND attempt=? AND epoch>? AND epoch<?)" in step for step in plan), plan


def test_the_first_lease_to_run_out_is_named(each_database: Database) -> None:
    with each_database.read() as session:
        assert leases.next_lapse_s(session) is None
