"""The event stream of a job: rows of the table of events, sent as server-sent events until the job's end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent

from s2e.words.states import JOB_ENDED
from service.store import queries
from service.store.engine import Database
from service.store.outage import OUTAGES, reason_of

POLL_S = 0.3
BATCH = 500
Found = list[tuple[int, str, dict[str, Any]]]


def is_end(kind: str, data: dict[str, Any]) -> bool:
    """True if an event says that its job has ended."""
    return kind == "job" and data.get("state") in JOB_ENDED


def nothing_follows(database: Database, job_id: str, last_id: int) -> bool:
    """True if the job has ended and a client that saw ``last_id`` has seen all of it."""
    with database.read() as session:
        ended = queries.job(session, job_id).state in JOB_ENDED
        return ended and not queries.events_after(session, job_id, last_id, 1)


async def stream(
    database: Database,
    job_id: str,
    last_id: int,
    stopping: threading.Event,
    still_may: Callable[[], Awaitable[bool]],
) -> AsyncIterator[ServerSentEvent]:
    """Events behind ``last_id``, each once and in order; ends after the job's end, when the server stops, or with the
    key it was opened with."""
    ended, loop, told = False, asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(told.set)

    with database.watch().calling(tell):
        while not stopping.is_set() and await _may(still_may):
            told.clear()
            batch = await run_in_threadpool(_fetch, database, job_id, last_id)
            for last_id, kind, data in batch:
                ended = ended or is_end(kind, data)
                yield ServerSentEvent(id=str(last_id), event=kind, data=data)
            if len(batch) >= BATCH:
                continue
            if ended:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), POLL_S)


async def _may(still_may: Callable[[], Awaitable[bool]]) -> bool:
    """An outage of the database ends nobody's stream."""
    try:
        return await still_may()
    except OUTAGES as error:
        if reason_of(error) is None:
            raise
        return True


def _fetch(database: Database, job_id: str, last_id: int) -> Found:
    """Nothing while the database is away: the stream stays open and goes on behind the last event sent."""
    try:
        with database.read() as session:
            return queries.events_after(session, job_id, last_id, BATCH)
    except OUTAGES as error:
        if reason_of(error) is None:
            raise
        return []
