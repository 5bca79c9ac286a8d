"""Names a job may use."""

from __future__ import annotations

from fastapi import APIRouter

from s2e import catalog
from s2e.door.protocols import protocols
from s2e.words import CompareRow, EpochMetrics, ReportRow, TrialResult, json_schema, numbers_of
from s2e.words.answers import Items, Named, NamedMethod, NamedProtocol, NumberTables

router = APIRouter(tags=["catalog"])
Listing = Items[Named]


def _listing(table: dict[str, catalog.Entry]) -> Listing:
    return Items(tuple(Named(name, entry.summary) for name, entry in table.items()))


@router.get("/methods", operation_id="list_methods")
def list_methods() -> Items[NamedMethod]:
    """Training methods under a schedule, with their hyperparameters."""
    return Items(tuple(_method(name) for name in catalog.METHODS))


def _method(name: str) -> NamedMethod:
    entry, params = catalog.METHODS[name], catalog.params_of(name)
    return NamedMethod(
        name=name,
        summary=entry.summary,
        params=json_schema(params),
        per_dataset={dataset: dict(values) for dataset, values in params.per_dataset.items()},
        scheduled=name in catalog.SCHEDULED,
        needs=tuple(sorted(entry.needs)),
    )


@router.get("/protocols", operation_id="list_protocols")
def list_protocols() -> Items[NamedProtocol]:
    """Published training protocols; a job names one and overrides what it wants."""
    return Items(
        tuple(NamedProtocol(name, protocol.summary, protocol.datasets) for name, protocol in protocols().items())
    )


@router.get("/numbers", operation_id="list_numbers")
def list_numbers() -> NumberTables:
    """Every number that is measured or reported: what it is, for whom, and how people call it."""
    return NumberTables(*map(numbers_of, (EpochMetrics, TrialResult, ReportRow, CompareRow)))


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
