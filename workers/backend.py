"""The port behind which populations train. One contract for inline, simulated and Ray.

A driver calls ``start`` for each population and ``poll`` for events. A backend keeps no truth: the driver writes every
event down before it polls again. After a crash of the driver, the next one attaches to populations that still train,
and starts those that are gone again, under a higher attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from s2e.words import EpochMetrics, Estimate, PlanSpec, Population, Sizes, TrialResult


@dataclass(frozen=True)
class PopulationKey:
    """Names one try at one population. Starting a known key twice changes nothing."""

    job_id: str
    round: int
    group: int
    attempt: int


OUT_OF_MEMORY = "out of memory"
"""The one cause of a loss that has a cure of its own: a smaller population."""
PAUSED = "paused"
"""The cause of a loss that was asked for: the population goes on from its checkpoint."""
LOST_TRAINER = "trainer lost"
"""The cause of a loss that left no other trace: the process or its node is gone."""
TOO_MANY = "out of memory, several jobs together"
"""The cause of a loss that training alone may cure."""
DATA_MISSING = "data root missing"
DEVICE_FAILED = "device failed"
DISK_FAILED = "disk failed"
INCOMPLETE = "installation incomplete"
NO_PLACE = "no place"
"""The cause of a loss of what waited for a place, so it is none of a place."""
PLACE_FAILED = "place failed"
"""The cause of a loss of which the training says that it is not its own."""
STALLED = "stalled"
"""The cause of the loss of a population that was silent for too long."""


@dataclass(frozen=True)
class PopulationStarted:
    """Training began on ``worker`` (a name for people: host and process), at ``place`` (a name of ``workers()``)."""

    key: PopulationKey
    worker: str
    place: str = ""
    share: float = 1.0
    """Of the place, where populations of several jobs train there as one program."""


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
class PopulationHeld:
    """A population waits, with everything it has, because a file cannot be written, for ``reason``. It tries again by
    itself; the next event of another kind says that it goes on."""

    key: PopulationKey
    reason: str
    cause: str = ""
    """The fault of the disk in a few words, as that of a loss."""


@dataclass(frozen=True)
class PopulationLost:
    """A population ended without results. ``retryable``: the cause was the place, not the training.

    ``cause`` names the fault of the place in a few words, the same for all losses of that kind.
    """

    key: PopulationKey
    reason: str
    retryable: bool
    cause: str = ""
    place: str = ""


@dataclass(frozen=True)
class LoggedLine:
    """A line that a training logged, at a time of its own machine's clock."""

    at_s: float
    """Seconds since 1970."""
    level: str
    logger: str
    text: str


@dataclass(frozen=True)
class PopulationLogged:
    """Lines that a training logged; the first of them is number ``first`` of its try."""

    key: PopulationKey
    first: int
    lines: tuple[LoggedLine, ...]


@dataclass(frozen=True)
class PopulationChecked:
    """A population can be trained where it was tried."""

    key: PopulationKey
    estimate: Estimate
    plan: PlanSpec | None = None
    """The plan that was chosen there, where the job leaves it to its machine."""
    sizes: Sizes | None = None
    """Those that suit the data, where the job leaves some to them."""


Event = (
    PopulationStarted
    | EpochReported
    | PopulationFinished
    | PopulationHeld
    | PopulationLost
    | PopulationLogged
    | PopulationChecked
)


@dataclass(frozen=True)
class WorkerInfo:
    """One place that can train: its name and resources, and how many populations it trains now."""

    name: str
    cpus: float
    gpus: float
    busy: int


class TrialBackend(Protocol):
    """Every method returns quickly but ``poll``."""

    def start(
        self, key: PopulationKey, population: Population, *, avoid: frozenset[str] = frozenset(), check: bool = False
    ) -> None:
        """Begin a population, or queue it for a place that is not in ``avoid``. A key once seen, running or ended,
        changes nothing. ``check``: only see whether it can be trained; it ends as checked or lost."""

    def lacks(self, plan: PlanSpec, avoid: frozenset[str] = frozenset()) -> str:
        """Why no place but those in ``avoid`` could ever hold a population of this plan; empty when one can."""

    def attach(self, job_id: str) -> dict[PopulationKey, str]:
        """Take over populations of a job that another driver started, or this one has left, and their places. Events
        that no poll has acknowledged are told again. Empty if no population outlives its driver."""

    def leave(self, job_id: str) -> None:
        """Let go of a job's populations: those that can outlive their driver train on, to be attached to; others stop.
        The events of the last poll count as not written down."""

    def poll(self, timeout_s: float = 0.0) -> list[Event]:
        """Events since the last poll, all of which this call says are written down: waits at most ``timeout_s`` for a
        first event, and not at all while nothing runs. A population is started, reports each epoch in order, and is
        finished or lost once; it may be held, and tell
        what it logged, any number of times between."""

    def cancel(self, key: PopulationKey) -> None:
        """Stop a population; no further event of it is delivered. An unknown key changes nothing."""

    def pause(self, key: PopulationKey) -> None:
        """Let a population stop at its next epoch, with a checkpoint: it is lost then for the cause PAUSED. One that is
        at its end, or has a trial that failed, goes on to its end. An unknown key changes nothing."""

    def running(self) -> frozenset[PopulationKey]:
        """Populations started and neither ended nor cancelled, those waiting for a place included."""

    def riders(self) -> frozenset[PopulationKey]:
        """Those of ``running()`` that take no place of their own, because they train beside another one."""

    def open_programs(self) -> dict[str, int]:
        """Programs (:func:`workers.program.program_of`) that wait for a place, and for how many trials more each has
        room."""

    def workers(self) -> list[WorkerInfo]:
        """The places there are now."""

    def close(self) -> None:
        """Cancel everything and let go of the places; nothing may be called afterwards."""
