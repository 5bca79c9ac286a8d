"""Conditional requests: answers about a job change only with its events, so the newest event names its state."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Header, Response
from starlette.exceptions import HTTPException

import s2e
from service.api.deps import JobId, ReadSession
from service.api.formats import also
from service.store import queries


def _check(
    session: ReadSession,
    job_id: JobId,
    response: Response,
    if_none_match: Annotated[
        str | None, Header(max_length=1_000, description="the ETag of an earlier answer: 304 while nothing has changed")
    ] = None,
) -> None:
    """Answer 304 to who has the newest state. A weak tag: the time left of a running job is not in it."""
    last_id = queries.last_events(session, [job_id]).get(job_id)
    if last_id is None:
        return
    headers = {"ETag": f'W/"{last_id}-{s2e.__version__}"', "Cache-Control": "private, no-cache"}
    if is_known(headers["ETag"], if_none_match):
        raise HTTPException(304, headers=headers)
    response.headers.update(headers)


def is_known(etag: str, if_none_match: str | None) -> bool:
    """True if a header ``If-None-Match`` names this ETag, weak or not."""
    known = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return "*" in known or etag.removeprefix("W/") in known


UNCHANGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Nothing has changed since the answer with this ETag"}
}


def fresh(*formats: str) -> dict[str, Any]:
    """Of an operation that tells about one job, in other ``formats`` beside JSON."""
    return {"dependencies": [Depends(_check)], "responses": UNCHANGED | (also(*formats) if formats else {})}


FRESH: dict[str, Any] = fresh()
