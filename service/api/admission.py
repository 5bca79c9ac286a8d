"""Limits on the size of a job, checked once at submission: every limit is a setting and is named in the refusal."""

from __future__ import annotations

from dataclasses import dataclass

from s2e.jobs import loop
from s2e.words import JobSpec, Problem, SpecError
from service.settings import Settings

TRIAL_BYTES = 4_000
"""A trial's rows in the database, its attempt, transitions and events among them, without what grows with T."""
EPOCH_BYTES = 300
"""One epoch of a trial: its numbers, its event, and R(t) in the trial's specification."""


@dataclass(frozen=True)
class Cost:
    """The most that a job may need."""

    trials: int
    epochs: int
    bytes: int
    """In the database; models and checkpoints are files beside it."""


def cost_of(spec: JobSpec) -> Cost:
    """Upper bounds, from the plan of a job alone."""
    trials = loop.n_trials(spec)
    epochs = trials * spec.train.n_epochs
    return Cost(trials, epochs, trials * TRIAL_BYTES + epochs * EPOCH_BYTES)


def admit(spec: JobSpec, settings: Settings) -> None:
    """Raise SpecError for a job that needs more than the service gives to one."""
    cost = cost_of(spec)
    limits = {
        "trials": settings.max_job_trials,
        "epochs": settings.max_job_epochs,
        "bytes": settings.max_job_bytes,
    }
    over = [
        Problem(f"cost.{name}", getattr(cost, name), f"at most {limit} for one job (S2E_MAX_JOB_{name.upper()})")
        for name, limit in limits.items()
        if getattr(cost, name) > limit
    ]
    if over:
        raise SpecError(*over)
