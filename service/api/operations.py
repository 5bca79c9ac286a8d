"""Every operation below /api/v1."""

from __future__ import annotations

from fastapi.routing import APIRoute

from service.api.routes import catalog, datasets, external, jobs, keys, session, trials, webhooks, workers

MODULES = (external, jobs, trials, catalog, datasets, workers, keys, webhooks, session)
"""The busiest first: routes are tried in order."""
PREFIX = "/api/v1"


BUSIEST = tuple(route for route in external.router.routes if isinstance(route, APIRoute))
"""Those that have a direct way (:mod:`service.api.direct`)."""


def operations() -> list[APIRoute]:
    """The routes, without their common prefix."""
    return [route for module in MODULES for route in module.router.routes if isinstance(route, APIRoute)]
