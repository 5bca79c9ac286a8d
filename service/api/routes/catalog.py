"""Names a job may use."""

from __future__ import annotations

from fastapi import APIRouter

from s2e import catalog
from s2e.door.protocols import protocols
from s2e.words import json_schema
from service.api import schemas

router = APIRouter(tags=["catalog"])
Listing = schemas.Items[schemas.Named]


def _listing(table: dict[str, catalog.Entry]) -> Listing:
    return Listing(items=[schemas.Named(name=name, summary=entry.summary) for name, entry in table.items()])


@router.get("/methods", operation_id="list_methods")
def list_methods() -> schemas.Items[schemas.MethodOut]:
    """Training methods under a schedule, with their hyperparameters."""
    return schemas.Items[schemas.MethodOut](items=[_method(name) for name in catalog.METHODS])


def _method(name: str) -> schemas.MethodOut:
    entry, params = catalog.METHODS[name], catalog.params_of(name)
    return schemas.MethodOut(
        name=name,
        summary=entry.summary,
        params=json_schema(params),
        per_dataset={dataset: dict(values) for dataset, values in params.per_dataset.items()},
        scheduled=name in catalog.SCHEDULED,
        needs=sorted(entry.needs),
    )


@router.get("/protocols", operation_id="list_protocols")
def list_protocols() -> schemas.Items[schemas.ProtocolOut]:
    """Published training protocols; a job names one and overrides what it wants."""
    items = [
        schemas.ProtocolOut(name=name, summary=protocol.summary, datasets=protocol.datasets)
        for name, protocol in protocols().items()
    ]
    return schemas.Items[schemas.ProtocolOut](items=items)


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
