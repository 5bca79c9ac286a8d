"""The composition root: the only place that chooses where trials train, importing it then."""

from __future__ import annotations

from service.settings import Settings
from workers.backend import TrialBackend


def make_backend(settings: Settings) -> TrialBackend:
    """The backend the settings name, ready to start populations."""
    if settings.backend == "ray":
        from workers.ray_backend import RayBackend

        return RayBackend(
            settings.artifact_root,
            settings.data_root,
            address=settings.ray_address,
            num_cpus=settings.ray_num_cpus,
            pass_on=settings.worker_env.split(","),
        )
    if settings.backend == "inline":
        from workers.inline import InlineBackend

        return InlineBackend(settings.artifact_root, settings.data_root)
    from workers.recorded import RecordedTable
    from workers.simulated import SimulatedBackend

    return SimulatedBackend(RecordedTable.load())
