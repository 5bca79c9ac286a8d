"""The composition root: the only place that chooses where trials train, importing it then."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import make_url

from service.settings import Settings
from workers.backend import TrialBackend

OWN_IDLE_S = 300.0
"""A trainer of our own Ray ends itself after so long without work: it holds 260 MB, and another one is there in three
seconds. On a cluster that was given, where others may want its place, settings say how long."""


def make_backend(settings: Settings, gone: Callable[[str], None] | None = None) -> TrialBackend:
    """The backend the settings name, ready to start populations. ``gone`` hears why it can never be reached again."""
    if settings.backend == "ray":
        return _on_ray(settings, gone)
    if settings.backend == "inline":
        from workers.inline import InlineBackend

        return InlineBackend(settings.artifacts, settings.data_root)
    from workers.recorded import RecordedTable
    from workers.simulated import SimulatedBackend

    return SimulatedBackend(RecordedTable.load())


def _on_ray(settings: Settings, gone: Callable[[str], None] | None) -> TrialBackend:
    from workers.ray_backend import RayBackend
    from workers.ray_head import FILE, address_in

    address = settings.ray_address
    ours = address is None or address.startswith(FILE)
    if address is not None and address.startswith(FILE):
        address = address_in(Path(address.removeprefix(FILE)))
    return RayBackend(
        settings.artifacts,
        settings.data_root,
        address=address,
        num_cpus=settings.ray_num_cpus,
        pass_on=settings.worker_env.split(","),
        namespace=settings.ray_namespace or _namespace(settings.database_url),
        orphan_s=settings.orphan_s,
        idle_s=OWN_IDLE_S if ours else settings.idle_s,
        warm_processes=2 if ours else 0,
        linger=settings.keep_trainers,
        program_trials=settings.program_trials,
        gone=gone,
    )


def _namespace(database_url: str) -> str:
    """One for each database, and no secret of its."""
    url = make_url(database_url).set(username=None, password=None)
    return "s2e-" + hashlib.sha256(url.render_as_string().encode()).hexdigest()[:12]
