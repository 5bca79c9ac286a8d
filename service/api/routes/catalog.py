"""Names a job may use, and numbers that it measures."""

from __future__ import annotations

from fastapi import APIRouter

from s2e.parts import METHODS, PROTOCOLS, listing
from s2e.words import CompareRow, EpochMetrics, ReportRow, TrialResult, json_schema, numbers_of
from s2e.words.answers import Items, Named, NamedMethod, NamedProtocol, NumberTables
from s2e.words.people import READ
from service.api.scopes import needs

router = APIRouter(tags=["catalog"])
Listing = Items[Named]


def _listing(kind: str) -> Listing:
    """The usable names of a kind."""
    return Items(tuple(Named(one.name, one.summary) for one in listing(kind)[kind] if not one.broken))


@router.get("/methods", operation_id="list_methods")
@needs(READ)
def list_methods() -> Items[NamedMethod]:
    """Training methods under a schedule, with their hyperparameters."""
    return Items(
        tuple(
            NamedMethod(
                name=name,
                summary=part.summary,
                params=json_schema(part),
                per_dataset={dataset: dict(values) for dataset, values in part.per_dataset.items()},
                scheduled=part.scheduled,
                needs=tuple(sorted(part.needs)),
            )
            for name, part in METHODS.items()
        )
    )


@router.get("/protocols", operation_id="list_protocols")
@needs(READ)
def list_protocols() -> Items[NamedProtocol]:
    """Published training protocols; a job names one and overrides it where it sets a field."""
    return Items(
        tuple(
            NamedProtocol(name, protocol.summary, {data: dict(values) for data, values in protocol.datasets.items()})
            for name, protocol in PROTOCOLS.items()
        )
    )


@router.get("/numbers", operation_id="list_numbers")
@needs(READ)
def list_numbers() -> NumberTables:
    """Every number that is measured or reported, with its title, unit and meaning."""
    return NumberTables(*map(numbers_of, (EpochMetrics, TrialResult, ReportRow, CompareRow)))


@router.get("/networks", operation_id="list_networks")
@needs(READ)
def list_networks() -> Listing:
    """Network architectures."""
    return _listing("networks")


@router.get("/searchers", operation_id="list_searchers")
@needs(READ)
def list_searchers() -> Listing:
    """Search rules."""
    return _listing("searchers")


@router.get("/spaces", operation_id="list_spaces")
@needs(READ)
def list_spaces() -> Listing:
    """Spaces of schedules."""
    return _listing("spaces")
