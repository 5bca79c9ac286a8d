"""Rows of the event stream. Epochs of a population that follow one another are one row, and an event each for a reader.

The row has the id of the last of its events. Those before it have ids that nobody else has: as many numbers are drawn
as there are events, so a reader may stop after any of them and resume there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from sqlalchemy import Connection, bindparam, text

from service.store.many import Rows, insert_many
from service.store.models import Base, JobEvent
from service.store.watch import KINDS, ring

Event = tuple[int, str, dict[str, Any]]
"""Id, kind, data."""
_EVENTS = Base.metadata.tables[JobEvent.__tablename__]
_N = "n"
"""Number of epochs of a row that has several; ``epoch`` is the last of them."""
_DRAW = text(  # OFFSET 0: numbers are drawn for all of them before some are chosen
    "SELECT id FROM (SELECT nextval(pg_get_serial_sequence('job_events', 'id')) AS id, i"
    " FROM generate_series(1, :most) AS i OFFSET 0) AS drawn WHERE i = ANY(:wanted) ORDER BY i"
).bindparams(bindparam("most"), bindparam("wanted"))
_LAST = text("SELECT seq FROM sqlite_sequence WHERE name = 'job_events'")


def packed(epochs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Data of events of single epochs as that of rows, in order for each population."""
    rows: list[dict[str, Any]] = []
    last: dict[tuple[int, int, int], dict[str, Any]] = {}
    for data in epochs:
        population = data["round"], data["group"], data["attempt"]
        row = last.get(population)
        if row is not None and (row["epoch"] + 1, row["ks"]) == (data["epoch"], data["ks"]):
            row.update(epoch=data["epoch"], n=row.get(_N, 1) + 1)
        else:
            last[population] = dict(data)
            rows.append(last[population])
    return rows


def insert_events(connection: Connection, rows: Rows) -> None:
    """Write rows of the stream, behind all that their jobs have. The jobs are locked."""
    ends = list(accumulate(row["data"].get(_N, 1) for row in rows))
    if rows and ends[-1] > len(rows):
        rows = [{**row, "id": i} for row, i in zip(rows, _draw(connection, ends), strict=True)]
    insert_many(connection, _EVENTS, rows)
    if any(row["kind"] in KINDS for row in rows):
        ring(connection)


def apart(rows: Sequence[Event], last_id: int, most: int) -> list[Event]:
    """The events of these rows behind ``last_id``: at most ``most``, and the rest of a row that was begun."""
    events: list[Event] = []
    for row in rows:
        if len(events) >= most:
            break
        events += (event for event in _events_of(*row) if event[0] > last_id)
    return events


def _events_of(i: int, kind: str, data: dict[str, Any]) -> Iterator[Event]:
    n = data.get(_N, 1) if kind == "epochs" else 1
    for before in range(n - 1, -1, -1):
        yield i - before, kind, {**data, "epoch": data["epoch"] - before} if n > 1 else data


def _draw(connection: Connection, ends: Sequence[int]) -> list[int]:
    """Of the next numbers, those at these places, counted from 1."""
    if connection.dialect.name == "sqlite":  # this transaction is alone
        last = connection.scalar(_LAST) or 0
        return [last + end for end in ends]
    return list(connection.scalars(_DRAW, {"most": ends[-1], "wanted": list(ends)}))
