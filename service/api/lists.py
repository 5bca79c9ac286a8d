"""Long lists: the fields that were asked for, page by page, or whole as one JSON object a line (NDJSON)."""

# No postponed annotations here: FastAPI could not look up what a nested function's refer to.
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy.orm import Session

from s2e.words import Problem, to_json
from s2e.words.answers import Page
from service.api.formats import JSON, MEDIA_TYPES, NDJSON, format_of
from service.api.paging import Key, Paging, Place
from service.errors import Invalid
from service.store.engine import Database

LINES = 500
"""Items that one transaction of a whole list reads."""
Row = TypeVar("Row")
Shown = TypeVar("Shown")
Fetch = Callable[[Session, int, Any], Sequence[Row]]
"""(session, limit, sort key to go on behind) -> at most ``limit`` + 1 rows."""


class Listing(Generic[Shown]):
    """A request's wishes for a list of ``Shown``: its page, its fields, and whether as lines."""

    def __init__(self, place: Place, wanted: tuple[str, ...] | None, lines: bool, response: Response) -> None:
        self.place, self.wanted, self._lines, self._response = place, wanted, lines, response

    def wants(self, *names: str) -> bool:
        """True if any of these fields is asked for."""
        return self.wanted is None or any(name in self.wanted for name in names)

    def answer(
        self,
        session: Session,
        database: Database,
        fetch: Fetch[Row],
        key: Callable[[Row], Key],
        kinds: Sequence[type],
        show: Callable[[Session, Sequence[Row]], Sequence[Shown]],
    ) -> Page[Shown] | Response:
        """A page, or all that follow the cursor. ``show`` makes items of rows, ``key`` their sort key of ``kinds``."""
        after = self.place.after(*kinds)
        if self._lines:
            lines = self._all_lines(database, fetch, key, after, show)
            return StreamingResponse(lines, headers=self._headers, media_type=MEDIA_TYPES[NDJSON])
        page = self.place.page(fetch(session, self.place.limit, after), key, lambda rows: show(session, rows))
        if self.wanted is None:
            return page
        items = [self._plain(item) for item in page.items]
        return JSONResponse({"items": items, "next_cursor": page.next_cursor}, headers=self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        """Those that dependencies have set: FastAPI adds them to answers that it makes itself."""
        return dict(self._response.headers)

    def _all_lines(
        self,
        database: Database,
        fetch: Fetch[Row],
        key: Callable[[Row], Key],
        after: Key | None,
        show: Callable[[Session, Sequence[Row]], Sequence[Shown]],
    ) -> Iterator[str]:
        """Each piece in a transaction of its own: a slow reader keeps none open."""
        while True:
            with database.read() as session:
                rows = fetch(session, LINES, after)
                items = show(session, rows[:LINES])
            yield "".join(json.dumps(self._plain(item)) + "\n" for item in items)
            if len(rows) <= LINES:
                return
            after = key(rows[LINES - 1])

    def _plain(self, item: Shown) -> Any:
        plain = to_json(item)
        return plain if self.wanted is None else {name: plain[name] for name in self.wanted}


def listing(shape: type) -> Any:
    """Dependency: how a list of ``shape`` is wanted."""
    known = tuple(field.name for field in fields(shape))

    def asked(
        response: Response,
        paging: Paging,
        wanted: Annotated[str, format_of(JSON, NDJSON)],
        names: Annotated[
            str | None,
            Query(alias="fields", max_length=400, description=f"only these, with commas between: {', '.join(known)}"),
        ] = None,
    ) -> Listing[Any]:
        return Listing(paging, None if names is None else _checked(names, known), wanted == NDJSON, response)

    return Depends(asked)


def _checked(names: str, known: Sequence[str]) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
    if unknown := [name for name in wanted if name not in known]:
        raise Invalid(Problem("fields", unknown[0][:80], "names with commas between: " + ", ".join(known)))
    return wanted
