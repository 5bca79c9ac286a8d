"""The port behind which populations train. One contract for inline, simulated and Ray.

A backend is told to ``start`` populations and is asked for what happened with ``poll``. It keeps no truth: whoever
drives it writes every event down, and after a crash starts the same populations again under a higher attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from s2e.words import EpochMetrics, Population, TrialResult


@dataclass(frozen=True)
class PopulationKey:
    """Names one try at one population. Starting a known key twice changes nothing."""

    job_id: str
    round: int
    group: int
    attempt: int


@dataclass(frozen=True)
class PopulationStarted:
    """Training began on ``worker`` (a name for people: host and process)."""

    key: PopulationKey
    worker: str


@dataclass(frozen=True)
class EpochReported:
    """One epoch of a population: one row for each trial that is still training."""

    key: PopulationKey
    epochs: tuple[EpochMetrics, ...]


@dataclass(frozen=True)
class PopulationFinished:
    """All trials of a population ended, each well or with a reason."""

    key: PopulationKey
    results: tuple[TrialResult, ...]


@dataclass(frozen=True)
class PopulationLost:
    """A population ended without results. ``retryable``: the cause was the place, not the training."""

    key: PopulationKey
    reason: str
    retryable: bool


Event = PopulationStarted | EpochReported | PopulationFinished | PopulationLost


@dataclass(frozen=True)
class WorkerInfo:
    """One place that can train: a name, what it has, and how many populations it trains now."""

    name: str
    cpus: float
    gpus: float
    busy: int


class TrialBackend(Protocol):
    """Every method returns quickly but ``poll``."""

    def start(self, key: PopulationKey, population: Population) -> None:
        """Begin a population, or queue it for a place. A key once seen, running or ended, changes nothing."""

    def poll(self, timeout_s: float = 0.0) -> list[Event]:
        """Events since the last poll: waits at most ``timeout_s`` for a first event, and not at all while
        nothing runs. A population is started, reports each epoch in order, and is finished or lost once."""

    def cancel(self, key: PopulationKey) -> None:
        """Stop a population; no further event of it is delivered. An unknown key changes nothing."""

    def running(self) -> frozenset[PopulationKey]:
        """Populations started and neither ended nor cancelled, those waiting for a place included."""

    def workers(self) -> list[WorkerInfo]:
        """The places there are now."""

    def close(self) -> None:
        """Cancel everything and let go of the places; nothing may be called afterwards."""
