"""The baseline every job compares with: Co-teaching's schedule, eq. (1), as the job describes it."""

from __future__ import annotations

from s2e.data.transition import injected_noise_rate
from s2e.schedule import coteaching_keep_rate
from s2e.spec import JobSpec


def default_tau(spec: JobSpec) -> float:
    """tau of the default Co-teaching schedule: given, or the expected share of wrong labels."""
    if spec.report.tau is not None:
        return spec.report.tau
    return injected_noise_rate(spec.data)


def coteaching_schedule(spec: JobSpec, tau: float) -> tuple[float, ...]:
    """Eq. (1) for this job's epochs and ramp."""
    official = spec.report.ramp == "official_linspace"
    return coteaching_keep_rate(spec.train.n_epochs, tau, spec.report.ramp_epochs, official_linspace=official)
