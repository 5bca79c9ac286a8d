"""Names a job may use."""

from __future__ import annotations

from fastapi import APIRouter

from s2e.parts import METHODS, PROTOCOLS, listing
from s2e.words import json_schema
from service.api import schemas

router = APIRouter(tags=["catalog"])
Listing = schemas.Items[schemas.Named]


def _listing(kind: str) -> Listing:
    """The usable names of a kind."""
    return Listing(
        items=[schemas.Named(name=one.name, summary=one.summary) for one in listing(kind)[kind] if not one.broken]
    )


@router.get("/methods", operation_id="list_methods")
def list_methods() -> schemas.Items[schemas.MethodOut]:
    """Training methods under a schedule, with their hyperparameters."""
    items = [
        schemas.MethodOut(
            name=name,
            summary=part.summary,
            params=json_schema(part),
            per_dataset={dataset: dict(values) for dataset, values in part.per_dataset.items()},
            scheduled=part.scheduled,
            needs=sorted(part.needs),
        )
        for name, part in METHODS.items()
    ]
    return schemas.Items[schemas.MethodOut](items=items)


@router.get("/protocols", operation_id="list_protocols")
def list_protocols() -> schemas.Items[schemas.ProtocolOut]:
    """Published training protocols; a job names one and overrides what it wants."""
    items = [
        schemas.ProtocolOut(
            name=name,
            summary=protocol.summary,
            datasets={dataset: dict(values) for dataset, values in protocol.datasets.items()},
        )
        for name, protocol in PROTOCOLS.items()
    ]
    return schemas.Items[schemas.ProtocolOut](items=items)


@router.get("/networks", operation_id="list_networks")
def list_networks() -> Listing:
    """Network architectures."""
    return _listing("networks")


@router.get("/datasets", operation_id="list_datasets")
def list_datasets() -> Listing:
    """Data sets."""
    return _listing("datasets")


@router.get("/searchers", operation_id="list_searchers")
def list_searchers() -> Listing:
    """Search rules."""
    return _listing("searchers")


@router.get("/spaces", operation_id="list_spaces")
def list_spaces() -> Listing:
    """Spaces of schedules."""
    return _listing("spaces")
