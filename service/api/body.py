"""A request body as plain JSON, strictly: UTF-8, no key twice, no absurd depth, no text a database cannot hold.

NaN and infinity pass here on purpose: the job's own validator then names the field they were found in.
"""

from __future__ import annotations

import json
from email.message import Message
from typing import Annotated, Any

from fastapi import Depends, Request

from s2e.words import Problem
from service.errors import BadRequest, UnsupportedMedia

MAX_DEPTH = 16
JSON = "application/json"


async def json_body(request: Request) -> Any:
    """Dependency: the parsed body. Raises BadRequest, UnsupportedMedia, TooLarge."""
    declared = request.headers.get("content-type", "")
    if declared != JSON and not _is_json(kind := _kind_of(declared)):
        raise UnsupportedMedia(f"the body is declared as {kind[:80]!r}; allowed: {JSON}")
    return strict_json(await request.body())


def _kind_of(declared: str) -> str:
    """The media type of a header, without its parameters."""
    header = Message()
    header["content-type"] = declared
    return header.get_content_type() if declared else "nothing"


def _is_json(kind: str) -> bool:
    return kind == JSON or (kind.startswith("application/") and kind.endswith("+json"))


JsonBody = Annotated[Any, Depends(json_body)]


def body_schema(name: str) -> dict[str, Any]:
    """The OpenAPI description of a body that is read here: the schema is among its components."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def strict_json(raw: bytes) -> Any:
    """Parse a body. Raises BadRequest with the place or the field."""
    try:
        data = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: byte {error.start}") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadRequest(f"the body is not JSON: {error.msg} at {where}", Problem("body", where, "JSON")) from error
    except ValueError as error:  # an integer of thousands of digits
        raise BadRequest(f"the body is not JSON this service can read: {str(error)[:120]}") from error
    except RecursionError as error:
        raise _too_deep() from error
    _check(data)
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise BadRequest(f"field {name[:80]!r} is given twice", Problem(name[:80], "twice", "once"))
        members[name] = value
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
_WITH_TEXT = (dict, list, str)


def _check(data: Any) -> None:
    """Depth and text of a parsed body, without recursion."""
    stack: list[tuple[Any, int, str]] = [(data, 1, "")]
    while stack:
        value, depth, path = stack.pop()
        if depth > MAX_DEPTH:
            raise _too_deep()
        if isinstance(value, dict):
            for name, item in value.items():
                _check_text(name, path)
                if isinstance(item, _WITH_TEXT):
                    stack.append((item, depth + 1, f"{path}.{name}".lstrip(".")))
        elif isinstance(value, list):
            items = (pair for pair in enumerate(value) if isinstance(pair[1], _WITH_TEXT))
            stack.extend((item, depth + 1, f"{path}[{i}]") for i, item in items)
        elif isinstance(value, str):
            _check_text(value, path)


def _check_text(text: str, path: str) -> None:
    """PostgreSQL cannot store U+0000, and no database half of a surrogate pair."""
    if "\0" in text or (not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)):
        allowed = "Unicode text without U+0000 and without lone surrogates"
        raise BadRequest(f"{path or 'a field name'} is not text", Problem(path or "body", ascii(text)[:80], allowed))


def _too_deep() -> BadRequest:
    return BadRequest(
        f"the body is nested deeper than {MAX_DEPTH} levels", Problem("body", None, f"depth <= {MAX_DEPTH}")
    )
