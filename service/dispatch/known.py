"""An orchestrator's memory of a job. It holds no truth: all of it can be read or found out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from s2e.calibrate import needs_plan
from s2e.jobs import loop
from s2e.prepare import goes_on_below, needs_estimate
from s2e.sizes import needs_sizes
from s2e.words import JobSpec, PlanWanted, Population, Round, RoundRecord, replace
from service.dispatch.needs import need
from workers.backend import PopulationKey


@dataclass
class InFlight:
    """A population in the hands of the backend."""

    population: Population
    place: str = ""
    held: str = ""
    """The reason why it waits with its finished work; empty while it makes progress."""
    held_by: str = ""
    """The cause of that."""
    seen_s: float = 0.0
    """Time of the last sign of life."""
    began_s: float | None = None
    """Time at which its training began; None: it has not."""
    share: float = 1.0
    """Of its place, where it trains beside populations of other jobs."""
    pausing: bool = False
    """True once it was told to stop at its next epoch."""
    n_epochs: int = 0
    """Epochs it has told."""


@dataclass
class KnownJob:
    """The parts of a job that never change once stored, read only once, and what is under way."""

    spec: JobSpec
    owner: str = ""
    """The owner of the job."""
    history: list[RoundRecord] = field(default_factory=list)
    round: Round | None = None
    """The last round, or the next one while it is being written."""
    planned: tuple[Population, ...] = ()
    """The populations of a round that is being written."""
    n_written: int = 0
    """Trials of the next round that are in the database already."""
    groups: dict[int, tuple[int, ...]] | None = None
    """Trials (k) of each population of the round, by its group, as the database has them; None: to be read."""
    in_flight: dict[PopulationKey, InFlight] = field(default_factory=dict)
    lost_at: dict[int, int] = field(default_factory=dict)
    """Epochs after which a population of the round was lost, by its group, until a later try gets further."""
    checks: Sequence[Population] | None = None
    """Populations still to be checked before the first round; None: not begun."""
    following: tuple[str, int] = ("", 0)
    """The program that its next population may join (:mod:`workers.program`), as far as somebody asked, and its trials.
    """
    lacking: bool = False
    """It was blocked because nothing could hold it, so a place that can is all it needs."""
    job_id: str = ""

    def needs(self, cause: str) -> str:
        """The need of this job that ``cause`` takes away."""
        return need(cause, self.spec, self.job_id)

    def take(self, round_: Round, planned: tuple[Population, ...] = ()) -> None:
        """Go on to a round: one that is stored, or the next one with the populations it is written in."""
        self.round, self.planned, self.n_written, self.groups = round_, planned, 0, None
        self.following = "", 0
        self.lost_at = {}

    def lost(self, key: PopulationKey) -> None:
        """Note how far a population has come that is lost now."""
        if key in self.in_flight:
            self.lost_at[key.group] = max(self.lost_at.get(key.group, 0), self.in_flight[key].n_epochs)

    def got_on(self, key: PopulationKey, epoch: int) -> bool:
        """An epoch was told; True if a population that was lost is now further than it has ever been."""
        flight = self.in_flight[key]
        flight.n_epochs = max(flight.n_epochs, epoch + 1)
        if flight.n_epochs <= self.lost_at.get(key.group, flight.n_epochs):
            return False
        del self.lost_at[key.group]
        return True

    def population(self, group: int) -> Population:
        """A population of the round, in the groups read."""
        assert self.round is not None
        assert self.groups is not None
        trials = {trial.k: trial for trial in self.round.trials}
        return loop.population_of(self.spec, self.round, [trials[k] for k in self.groups[group]])

    def forget(self) -> None:
        """Everything large; it is read again when it is needed."""
        self.history, self.round, self.planned, self.n_written, self.groups = [], None, (), 0, None
        self.following = "", 0


def to_check(spec: JobSpec, groups: Sequence[Population], n_machines: int) -> list[Population]:
    """The populations that a worker checks before the first round. Where sizes are left to the data, one whose worker
    looks at these; where the plan is left to the machine, one that asks
    for it; the others follow once it is known. Where the noise of given labels has to be known, the first of them
    estimates it, with the job's own training, as a job in one process does."""
    checks = of_each_kind(groups)
    if needs_sizes(spec):
        return checks[:1]
    if needs_plan(spec):
        return [replace(checks[0], choose=PlanWanted(spec, n_machines))]
    if needs_estimate(spec):
        below = goes_on_below(spec)
        checks.insert(0, replace(checks[0], train=spec.train, noise_seed=spec.seed, lacks_noise_below=below))
    return checks


def of_each_kind(groups: Sequence[Population]) -> list[Population]:
    """One population for each method and network, that with the largest batches and the most trials."""
    kinds: dict[tuple[str, str], Population] = {}
    for group in sorted(groups, key=lambda group: (group.train.batch_size, len(group.trials)), reverse=True):
        kinds.setdefault((group.train.method, group.train.network), group)
    return list(kinds.values())
