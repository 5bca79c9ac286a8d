"""A direct way to the busiest operations: an external trainer sends one small request for each epoch.

FastAPI's layers, its search for the route and its dependencies cost several times what these operations do. A plain
request to one of them passes our own middleware, the same check of scope and owner and the same endpoint, and gets the
same answer or problem document; nothing else of FastAPI, its OpenTelemetry included, sees it. All others, and those
whose address or headers are not plain, go FastAPI's way; so does the description in OpenAPI.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api import problems
from service.api.deps import is_id
from service.api.scopes import check

UNCOMMON = frozenset({b"idempotency-key"})
"""Headers that some endpoints declare: a request with one goes FastAPI's way, which checks it."""
_WAY = "s2e.direct"


class Direct:
    """A POST operation whose endpoint takes the request and one id and returns a dataclass."""

    def __init__(self, route: APIRoute, prefix: str) -> None:
        self._route = route
        self._pattern, _, convertors = compile_path(prefix + route.path)
        (self._name,) = convertors
        self._answer: TypeAdapter[object] = TypeAdapter(typing.get_type_hints(route.endpoint)["return"])

    def params_of(self, scope: Scope) -> dict[str, str] | None:
        """The parameters in the path of a plain request to this operation; None for any other."""
        at = self._pattern.match(scope["path"])
        if at is None or not is_id(at[1]) or any(name in UNCOMMON for name, _ in scope["headers"]):
            return None
        return {self._name: at[1]}

    def enter(self, scope: Scope, params: dict[str, str]) -> None:
        """Leave in ``scope`` what routing leaves there."""
        scope[_WAY], scope["route"], scope["path_params"] = self, self._route, params

    async def answer(self, request: Request) -> Response:
        """The endpoint's answer. Raises what the check and the endpoint raise."""
        await check(request)
        answer = await self._route.endpoint(request, **request.path_params)
        return Response(self._answer.dump_json(answer), media_type="application/json")


class Application(FastAPI):
    """FastAPI, and beside it the direct ways through the middleware that was added."""

    def __init__(self, ways: Sequence[Direct], **more: Any) -> None:
        super().__init__(**more)
        self._ways = ways
        self._stack: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            for way in self._ways:
                if (params := way.params_of(scope)) is not None:
                    scope["app"] = self
                    way.enter(scope, params)
                    self._stack = self._stack or self._build()
                    await self._stack(scope, receive, send)
                    return
        await super().__call__(scope, receive, send)

    def _build(self) -> ASGIApp:
        """The middleware that FastAPI's way has, in its order, around the answer."""
        app: ASGIApp = _answer
        for layer in reversed(self.user_middleware):
            app = layer.cls(app, *layer.args, **layer.kwargs)
        return ServerErrorMiddleware(app, handler=problems.internal)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive, send)
    way: Direct = scope[_WAY]
    try:
        response = await way.answer(request)
    except Exception as error:
        response = await problems.answer_to(request, error)
    await response(scope, receive, send)
