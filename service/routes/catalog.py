"""Names a job may use."""

from __future__ import annotations

from fastapi import APIRouter

from s2e import catalog
from service import schemas

router = APIRouter(tags=["catalog"])
Listing = schemas.Items[schemas.Named]


def _listing(table: dict[str, catalog.Entry]) -> Listing:
    return Listing(items=[schemas.Named(name=name, summary=entry.summary) for name, entry in table.items()])


@router.get("/methods", operation_id="list_methods")
def list_methods() -> Listing:
    """Training methods under a schedule."""
    return _listing(catalog.METHODS)


@router.get("/networks", operation_id="list_networks")
def list_networks() -> Listing:
    """Network architectures."""
    return _listing(catalog.LISTED_NETWORKS)


@router.get("/datasets", operation_id="list_datasets")
def list_datasets() -> Listing:
    """Data sets."""
    return _listing(catalog.DATASETS)


@router.get("/searchers", operation_id="list_searchers")
def list_searchers() -> Listing:
    """Search rules."""
    return _listing(catalog.SEARCHERS)


@router.get("/spaces", operation_id="list_spaces")
def list_spaces() -> Listing:
    """Spaces of schedules."""
    return _listing(catalog.SPACES)
