"""The scope that each operation needs, declared beside it; and the owners of jobs, which only they and admins change.

``@needs(SUBMIT)`` on an endpoint is the declaration; :func:`check` enforces it for every route of the API, and
:func:`undeclared` names those without one, so that none can be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute

from s2e.words.people import READ, WORKER
from service.api.callers import Caller
from service.errors import Forbidden
from service.store import queries
from service.store.engine import Database

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
MOST_KNOWN = 10_000
_owners: dict[str, str] = {}
"""Of jobs and of trials, which keep theirs for good."""
NOBODY = "nobody"
"""In place of a scope: whoever asks, with or without a key."""


def needs(scope: str) -> Callable[[Endpoint], Endpoint]:
    """Declare the scope that an operation needs."""

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.scope_needed = scope  # type: ignore[attr-defined]
        return endpoint

    return declare


def scope_of(endpoint: Callable[..., Any]) -> str | None:
    """The scope that was declared; None: none was."""
    scope: str | None = getattr(endpoint, "scope_needed", None)
    return scope


def undeclared(routes: Iterable[APIRoute]) -> list[str]:
    """Operations without a scope."""
    return [route.operation_id or route.path for route in routes if scope_of(route.endpoint) is None]


async def caller_of(request: Request) -> Caller:
    """The caller, as the gate has identified it."""
    caller: Caller = request.state.caller
    return caller


CallerDep = Annotated[Caller, Depends(caller_of)]


async def check(request: Request) -> None:
    """Dependency of the whole API. Raises Forbidden for a key without the scope, and for another owner's job.

    Asynchronous, because it is asked at every report of every epoch: a thread for it would cost more than it does.
    """
    endpoint = request.scope["route"].endpoint
    scope = scope_of(endpoint)
    if scope == NOBODY:
        return
    caller: Caller = request.state.caller
    if scope is None or not caller.may(scope):
        has = ", ".join(sorted(caller.scopes))
        raise Forbidden(f"this needs a key with the scope {scope}; the key shown has: {has}")
    if scope != READ and not caller.is_admin:
        await _check_owner(request, caller)
    if scope not in (READ, WORKER):
        request.state.action = request.scope["route"].operation_id


async def _check_owner(request: Request, caller: Caller) -> None:
    """Jobs of before there were owners are everybody's."""
    path: dict[str, str] = request.path_params
    job_id, trial_id = path.get("job_id"), path.get("trial_id")
    if job_id is None and trial_id is None:
        return
    owner = _owners.get(job_id or trial_id or "")
    if owner is None:
        owner = await run_in_threadpool(_read_owner, request.app.state.database, job_id, trial_id)
    if owner not in (None, "", caller.owner):
        raise Forbidden(f"the job is {owner}'s, and the key shown is {caller.owner}'s")


def _read_owner(database: Database, job_id: str | None, trial_id: str | None) -> str | None:
    with database.read() as session:
        owner = queries.owner_of(session, job_id=job_id, trial_id=trial_id)
    if owner is not None:
        if len(_owners) >= MOST_KNOWN:
            _owners.clear()  # at once: other threads read and write it too
        _owners[job_id or trial_id or ""] = owner
    return owner
