"""Every operation below /api/v1, in the order of the document."""

from __future__ import annotations

from fastapi.routing import APIRoute

from service.api.routes import catalog, datasets, external, jobs, keys, session, trials, workers

MODULES = (jobs, trials, external, catalog, datasets, workers, keys, session)
PREFIX = "/api/v1"


def operations() -> list[APIRoute]:
    """The routes, without their common prefix."""
    return [route for module in MODULES for route in module.router.routes if isinstance(route, APIRoute)]
