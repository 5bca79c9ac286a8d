"""/workers: the places that train."""

from __future__ import annotations

from dataclasses import fields

from fastapi import APIRouter

from s2e.words import read
from s2e.words.answers import Circuit, Items, Worker
from s2e.words.people import READ
from service.api.deps import ReadSession
from service.api.scopes import needs
from service.store import queries
from service.store.leases import circuits_of
from service.store.models import WorkerRow

router = APIRouter(tags=["workers"])


@router.get("/workers", operation_id="list_workers")
@needs(READ)
def list_workers(session: ReadSession) -> Items[Worker]:
    """The places that train, as the dispatcher last saw them."""
    return Items(tuple(_worker(row) for row in queries.workers(session)))


def _worker(row: WorkerRow) -> Worker:
    told = {field.name: getattr(row, field.name) for field in fields(Worker)}
    return Worker(**told | {"circuits": read(tuple[Circuit, ...], circuits_of(row))})
