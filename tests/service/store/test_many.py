"""Many rows in one statement: whichever way they go to a database, the same bits come back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError

from s2e.door import parse_job
from service.store import repository
from service.store.batch import table_of
from service.store.engine import Database
from service.store.many import COPIED, insert_many, insert_new, update_many
from service.store.models import JobEvent, Transition

AT = datetime(2026, 11, 22, 9, 30, 0, 123_456, tzinfo=UTC)
DATA = {
    "floats": [0.1 + 0.2, -0.0, 1e16, 5e-324, 1.7976931348623157e308],
    "none": None,
    "text": 'é "\\ \n%s',
    "is": True,
}


@pytest.fixture
def a_job(each_database: Database) -> str:
    spec = parse_job({"search": {"searcher": "random", "n_rounds": 1, "n_trials": 2}})
    with each_database.write() as session:
        job_id, _ = repository.create_job(session, spec)
        session.execute(delete(JobEvent))
    return job_id


def rows_of(database: Database, job_id: str) -> list[Any]:
    event = table_of(JobEvent)
    query = select(event.c.kind, event.c.data, event.c.at).where(event.c.job_id == job_id).order_by(event.c.id)
    with database.read() as session:
        return [(kind, repr(data), at) for kind, data, at in session.execute(query)]


def test_rows_come_back_bit_for_bit_however_many_there_are(each_database: Database, a_job: str) -> None:
    told: list[Any] = []
    for n in (0, 1, COPIED - 1, COPIED):
        rows = [{"job_id": a_job, "kind": f"{n}-{i}", "data": {**DATA, "i": i}, "at": AT} for i in range(n)]
        with each_database.write() as session:
            insert_many(session.connection(), table_of(JobEvent), rows)
        told += [(row["kind"], repr(row["data"]), AT) for row in rows]
    assert rows_of(each_database, a_job) == told


def test_what_is_there_is_not_inserted_again_and_what_is_changed_has_the_id(
    each_database: Database, a_job: str
) -> None:
    moves = table_of(Transition)
    row = {"job_id": a_job, "trial_id": None, "old": None, "new": "running", "reason": "", "at": AT}
    with each_database.write() as session:
        connection = session.connection()
        new = insert_new(connection, moves, [{**row, "id": 7_000_000 + i} for i in range(3)], ("id", "new"))
        again = insert_new(connection, moves, [{**row, "id": 7_000_000 + i} for i in range(4)], ("id", "new"))
        later = AT + timedelta(seconds=1)
        changed = [{"id": 7_000_001, "old": "queued", "at": later}, {"id": 7_000_003, "old": None, "at": AT}]
        update_many(connection, moves, changed)
        update_many(connection, moves, [])
        assert sorted(new) == [(7_000_000 + i, "running") for i in range(3)]
        assert again == [(7_000_003, "running")]
        told = connection.execute(select(moves.c.old, moves.c.at).where(moves.c.id >= 7_000_000).order_by(moves.c.id))
        assert [tuple(one) for one in told] == [(None, AT), ("queued", later), (None, AT), (None, AT)]


def test_a_refused_row_is_an_error_of_sqlalchemy_s(each_database: Database) -> None:
    row = {"job_id": "no such job", "kind": "job", "data": {}, "at": AT}
    for n in (1, COPIED):
        with pytest.raises(DBAPIError), each_database.write() as session:
            insert_many(session.connection(), table_of(JobEvent), [row] * n)
