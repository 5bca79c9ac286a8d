"""/session: a browser trades the API key for a cookie, because its EventSource cannot send headers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from s2e.words import parse
from s2e.words.asks import SessionIn
from service.api.auth import COOKIE, SESSION_S
from service.api.body import JsonBody, body_schema
from service.api.callers import Callers
from service.api.scopes import NOBODY, needs
from service.errors import Unauthorized

router = APIRouter(tags=["session"])


@router.post("/session", operation_id="open_session", status_code=204, openapi_extra=body_schema("SessionIn"))
@needs(NOBODY)
async def open_session(request: Request, body: JsonBody) -> Response:
    """Open a session of one week. Where the service has no key, every key will do: there is nothing to open."""
    key = parse(SessionIn, body).key
    response = Response(status_code=204)
    callers: Callers = request.app.state.callers
    address = request.client.host if request.client else ""
    token = await callers.session_for(key, address) if callers.judges(key) else None
    if token is not None:
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, token, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure, path="/")
    elif callers.judges(key):
        raise Unauthorized("the service does not know this key")
    return response
