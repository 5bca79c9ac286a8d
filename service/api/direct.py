"""A direct way to the busiest operations: an external trainer sends one small request for each epoch.

FastAPI's search for the route, its dependencies and its layers around an endpoint cost several times what these
operations do. A plain request to one of them is answered here: by the same endpoint, after the same check of scope and
owner, with the same answer. All others, and everything that is refused by its address or a header, go FastAPI's way; so
do the description in OpenAPI and the handlers of errors.
"""

from __future__ import annotations

import typing

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.routing import BaseRoute, Match, compile_path
from starlette.types import Receive, Scope, Send

from service.api.deps import is_id
from service.api.scopes import check

UNCOMMON = frozenset({b"idempotency-key"})
"""Headers that some endpoints declare: a request with one goes FastAPI's way, which checks it."""


class Direct(BaseRoute):
    """A POST operation whose endpoint takes the request and one id and returns a dataclass."""

    def __init__(self, route: APIRoute, prefix: str) -> None:
        self._route = route
        self._pattern, _, convertors = compile_path(prefix + route.path)
        (self._name,) = convertors
        self._answer: TypeAdapter[object] = TypeAdapter(typing.get_type_hints(route.endpoint)["return"])

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or scope["method"] != "POST":
            return Match.NONE, {}
        at = self._pattern.match(scope["path"])
        if at is None or not is_id(at[1]) or any(name in UNCOMMON for name, _ in scope["headers"]):
            return Match.NONE, {}
        return Match.FULL, {"route": self._route, "path_params": {self._name: at[1]}}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        await check(request)
        answer = await self._route.endpoint(request, **scope["path_params"])
        response = Response(self._answer.dump_json(answer), media_type="application/json")
        await response(scope, receive, send)
