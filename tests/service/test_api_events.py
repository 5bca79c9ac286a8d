"""The event stream on the real server: order, resumption, end of the job, end of the server."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from s2e.client.http import JobEvent, _parse_events
from service.api.events import BATCH
from service.store.changes import emit, lock_job, move_job
from service.store.engine import Database
from service.store.models import JobEvent as Row


def add_events(database: Database, job_id: str, n: int, first: int = 0) -> None:
    with database.write() as session:
        job = lock_job(session, job_id)
        emit(session, job, "round", *({"round": first + i, "kind": "search"} for i in range(n)))


def end(database: Database, job_id: str) -> None:
    with database.write() as session:
        move_job(session, lock_job(session, job_id), "completed", "")


def follow(http: httpx.Client, job_id: str, last_id: int | None = None, **params: Any) -> list[JobEvent]:
    headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
    with http.stream("GET", f"/jobs/{job_id}/events", headers=headers, params=params) as response:
        if response.status_code == 204:
            return []
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(_parse_events(response.iter_lines()))


def stored(database: Database, job_id: str) -> list[JobEvent]:
    with database.read() as session:
        rows = session.scalars(select(Row).where(Row.job_id == job_id).order_by(Row.id))
        return [JobEvent(row.id, row.kind, row.data) for row in rows]


def test_all_events_come_in_order_and_the_stream_ends_with_the_job(
    http: httpx.Client, store_job: Any, database: Database
) -> None:
    job, other = store_job(), store_job()
    add_events(database, job, 3)
    add_events(database, other, 3)
    end(database, job)
    followed = follow(http, job)
    assert followed == stored(database, job)
    assert [event.kind for event in followed] == ["job", "round", "round", "round", "job"]
    assert followed[-1].is_end


def test_events_written_while_the_stream_is_open_are_sent(
    http: httpx.Client, store_job: Any, database: Database
) -> None:
    job = store_job()
    kinds = []
    with http.stream("GET", f"/jobs/{job}/events") as response:
        for event in _parse_events(response.iter_lines()):
            kinds.append(event.kind)
            if len(kinds) == 1:
                add_events(database, job, 1)
            elif len(kinds) == 2:
                end(database, job)
    assert kinds == ["job", "round", "job"]


@pytest.mark.parametrize("as_header", [True, False])
def test_a_stream_resumes_behind_the_last_event_seen(
    http: httpx.Client, store_job: Any, database: Database, as_header: bool
) -> None:
    job = store_job()
    add_events(database, job, 5)
    end(database, job)
    everything = stored(database, job)
    for i, seen in enumerate(everything):
        params = {} if as_header else {"last_event_id": seen.id}
        assert follow(http, job, seen.id if as_header else None, **params) == everything[i + 1 :]


def test_who_has_seen_everything_of_an_ended_job_is_told_not_to_come_back(
    http: httpx.Client, store_job: Any, database: Database
) -> None:
    job = store_job()
    end(database, job)
    last = stored(database, job)[-1].id
    assert http.get(f"/jobs/{job}/events", headers={"Last-Event-ID": str(last)}).status_code == 204


def test_more_events_than_one_batch(http: httpx.Client, store_job: Any, database: Database) -> None:
    job = store_job()
    add_events(database, job, 2 * BATCH)
    end(database, job)
    followed = follow(http, job)
    assert [event.id for event in followed] == [event.id for event in stored(database, job)]
    assert len(followed) == 2 * BATCH + 2


@pytest.mark.parametrize("last_id", ["x", "-1", "1.5", str(2**63)])
def test_a_bad_last_event_id_is_named(http: httpx.Client, store_job: Any, assert_problem: Any, last_id: str) -> None:
    response = http.get(f"/jobs/{store_job()}/events", headers={"Last-Event-ID": last_id})
    problem = assert_problem(response, 422, "invalid_parameter")
    assert problem["errors"][0]["field"] == "Last-Event-ID"


def test_the_server_ends_although_somebody_listens(service: Any, store_job: Any) -> None:
    job = store_job()
    with service.http.stream("GET", f"/jobs/{job}/events") as response:
        lines = response.iter_lines()
        assert next(lines) == "event: job"
        stopper = threading.Thread(target=service.stop)
        stopper.start()
        rest = list(lines)  # ends, because the stream was closed in order
        stopper.join()
    assert rest[-1] == ""
