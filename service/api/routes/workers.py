"""/workers: the places that train."""

from __future__ import annotations

from dataclasses import fields

from fastapi import APIRouter

from s2e.words.answers import Items, Worker
from s2e.words.people import READ
from service.api.deps import ReadSession
from service.api.scopes import needs
from service.store import queries

router = APIRouter(tags=["workers"])


@router.get("/workers", operation_id="list_workers")
@needs(READ)
def list_workers(session: ReadSession) -> Items[Worker]:
    """The places that train, as the dispatcher last saw them."""
    names = [f.name for f in fields(Worker)]
    return Items(tuple(Worker(**{name: getattr(row, name) for name in names}) for row in queries.workers(session)))
