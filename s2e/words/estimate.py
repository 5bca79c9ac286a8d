"""Measurements of a worker's check of a job, before its first round."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from s2e.words.data import EstimatedNoise, TrustedRows
from s2e.words.fields import param


@dataclass(frozen=True)
class Sizes:
    """Sizes of a job that suit the rows of its data."""

    n_validation: int
    batch_size: int
    n_epochs: int
    n_test: int
    """Rows that test, as the data have them."""
    reasons: dict[str, str]
    """In words, by size; none of the validation rows where trusted ones validate."""
    network: dict[str, Any] = field(default_factory=dict)
    """Fields of the section ``train`` that name one and its settings."""
    notes: tuple[str, ...] = ()
    """Sentences on how the data were read, where that is not plain."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The measurements of a few steps of a population, and their forecast for the whole job."""

    worker: str = param(doc="the process that looked: host and process id")
    place: str = param("", doc="the worker it belongs to, as /workers names it")
    epoch_s: float = param(doc="seconds of one epoch of one population")
    memory_bytes: int = param(doc="most memory of the device, or on a CPU of the whole process")
    job_s: float | None = param(None, doc="seconds of the whole job on the places there were; null: not known")
    noise: EstimatedNoise | None = param(None, doc="noise of labels that are given, where the job has to know it")
    unestimated: str = param("", doc="why that noise could not be estimated, of a job that goes on without")
    trusted: TrustedRows | None = param(None, doc="what becomes of the rows whose labels are known to be right")
