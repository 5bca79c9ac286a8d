"""/workers: the places that train."""

from __future__ import annotations

from fastapi import APIRouter

from service.api import schemas
from service.api.deps import ReadSession
from service.store import queries

router = APIRouter(tags=["workers"])


@router.get("/workers", operation_id="list_workers")
def list_workers(session: ReadSession) -> schemas.Items[schemas.WorkerOut]:
    """What the dispatcher last saw of the places that train."""
    rows = queries.workers(session)
    return schemas.Items[schemas.WorkerOut](items=[schemas.WorkerOut.model_validate(row) for row in rows])
