"""Kinds of job, from the door to the report, and the published protocols a job may name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from s2e.parts.registry import Registry
from s2e.words.data import DataSpec
from s2e.words.earlier import EarlierTrials
from s2e.words.job import JobSpec
from s2e.words.results import CompareReport, Report
from s2e.words.trial import Round, RoundRecord


@dataclass(frozen=True)
class Worst:
    """The labels of a job that are most likely wrong, the worst first."""

    data: DataSpec
    """The job's own: rows are counted among its training rows."""
    rows: tuple[int, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Recommended:
    """A finished search for others: its method, the schedule it recommends, and the training settings with it."""

    method: str
    keep_rate: tuple[float, ...]
    train: Mapping[str, Any]


class Lookup(Protocol):
    """Other jobs, for one that names them."""

    def report_of(self, job_id: str) -> Recommended | None:
        """The recommendation of a completed search; None where there is no such job, or it recommends nothing."""

    def labels_of(self, job_id: str, n: int | None) -> Worst | None:
        """The ``n`` worst labels by a job's audit, or all it takes to be wrong; None where there is no such audit."""

    def trials_of(self, job_id: str) -> EarlierTrials | None:
        """The succeeded full trainings of a search, possibly none; None where there is no such job."""


class JobKind(ABC):
    """One kind of job. Every method is pure."""

    name: ClassVar[str]
    summary: ClassVar[str]
    report: ClassVar[type[Report] | type[CompareReport]]
    """The dataclass its report is."""
    recommends: ClassVar[bool]
    """Searches schedules, and ends with a recommended one."""
    exact_rounds: ClassVar[frozenset[str]]
    """Kinds of its rounds that train in float32 at least, whatever the plan says."""
    measured_rounds: ClassVar[frozenset[str]] = frozenset()
    """Kinds of its rounds that measure every epoch, whatever the plan says: a report looks for the best of them."""

    judged_rounds: ClassVar[frozenset[str]] = frozenset()
    """Kinds of its rounds whose trainings are judged by held-out labels once they are done."""

    def data_of(self, spec: JobSpec, round_: Round) -> DataSpec:  # noqa: ARG002
        """The data that a round trains on."""
        return spec.data

    def goes_on_without_noise(self, spec: JobSpec) -> bool:  # noqa: ARG002
        """True if the job has something to do where the noise of its given labels cannot be estimated."""
        return False

    def resolve(self, spec: JobSpec, lookup: Lookup | None) -> JobSpec:  # noqa: ARG002
        """The job with everything it takes from other jobs. Raises SpecError, also where nobody can look them up."""
        return spec

    @abstractmethod
    def check(self, spec: JobSpec) -> JobSpec:
        """The job, completed. Raises SpecError with every rule of this kind that it breaks."""

    @abstractmethod
    def n_rounds(self, spec: JobSpec) -> int:
        """Most rounds of the job."""

    @abstractmethod
    def n_trials(self, spec: JobSpec) -> int:
        """Most trials of the job."""

    def smaller(self, spec: JobSpec) -> Iterator[JobSpec]:
        """The job itself, then smaller ones, for a run that has to end in time."""
        yield spec

    def n_planned(self, spec: JobSpec) -> int:
        """Trials that the job cannot do without: further looks at what is undecided left out."""
        return self.n_trials(spec)

    def n_search_rounds(self, spec: JobSpec) -> int:  # noqa: ARG002
        """Rounds that train as the plan says, before those that are exact: ``search.n_trials`` trials in each."""
        return 0

    def n_widest(self, spec: JobSpec) -> int:
        """Most trials that may train at once."""
        return self.n_trials(spec)

    @abstractmethod
    def next_round(self, spec: JobSpec, history: Sequence[RoundRecord]) -> Round | None:
        """The round that follows ``history``; None when the job is done."""

    @abstractmethod
    def report_of(self, spec: JobSpec, history: Sequence[RoundRecord]) -> Any:
        """The report, after the last round."""

    @abstractmethod
    def title(self, spec: JobSpec) -> str:
        """The job in a few words, for lists."""

    @abstractmethod
    def trains(self, spec: JobSpec) -> str:
        """The job's method, for lists, or how many there are."""

    @abstractmethod
    def entry_of(self, spec: Mapping[str, Any], job_id: str) -> dict[str, Any]:
        """The training whose labels a finished job puts to the test, as an entry of ``compare``; both plain JSON."""


@dataclass(frozen=True)
class ProtocolCase:
    """The part of a protocol that holds for one data set ("": for all), for some noise and a range of its rate."""

    values: Mapping[str, Any]
    kinds: tuple[str, ...]
    dataset: str = ""
    lowest: float = 0.0
    below: float = 1.0

    def fits(self, dataset: str, kind: str, noise_rate: float) -> bool:
        """True if the case holds for a job of this data set and noise."""
        return self.dataset in ("", dataset) and kind in self.kinds and self.lowest <= noise_rate < self.below


@dataclass(frozen=True)
class ProtocolPart:
    """A published training protocol: its part of a job, for each data set it was published for."""

    name: str
    summary: str
    datasets: Mapping[str, Mapping[str, Any]]
    cases: Sequence[ProtocolCase] = ()

    def values(self, dataset: str, kind: str, noise_rate: float) -> list[Mapping[str, Any]]:
        """Its parts of a job for a data set it was published for and a noise, each to be laid over the one before."""
        return [self.datasets[dataset], *(case.values for case in self.cases if case.fits(dataset, kind, noise_rate))]


KINDS: Registry[JobKind] = Registry("kinds", "s2e.jobs.kinds")
PROTOCOLS: Registry[ProtocolPart] = Registry("protocols", "s2e.door.protocols:declare")
