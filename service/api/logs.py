"""Use cases of logs: a page of lines, or all of them as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC

from fastapi import Response

from s2e.words.answers import LogLine, Page
from service.api.formats import MEDIA_TYPES, TEXT
from service.api.paging import Place
from service.store.trial_logs import Line

KEY = (int, float, int)


def answer(lines: Sequence[Line], place: Place, wanted: str) -> Page[LogLine] | Response:
    """A page of lines in order or, as text, every line behind the cursor. Raises Invalid for another list's cursor."""
    after = place.after(*KEY)
    following = lines if after is None else [line for line in lines if line.key > after]
    if wanted == TEXT:
        return Response("".join(map(_text, following)), media_type=MEDIA_TYPES[TEXT])
    return place.page(following[: place.limit + 1], lambda line: line.key, lambda shown: [_out(line) for line in shown])


def _out(line: Line) -> LogLine:
    return LogLine(**{field.name: getattr(line, field.name) for field in fields(LogLine)})


def _text(line: Line) -> str:
    at = line.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    whose = f" trial {line.trial_id}" if line.trial_id is not None and not line.attempt else ""
    tried = f" attempt {line.attempt}" if line.attempt else ""
    return f"{at}{tried}{whose} {line.level} {line.source}: {line.text}\n"
