"""The units of a search: points, trials, rounds, and the populations that train together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2e.words.data import DataSpec
from s2e.words.fidelity import FULL, Fidelity
from s2e.words.fields import param
from s2e.words.job import JobSpec, PlanSpec
from s2e.words.results import TrialResult
from s2e.words.train import TrainSpec


@dataclass(frozen=True)
class Point:
    """One x of a space, as the flat vector its Space defines (for ``s2e``: alpha[4] then beta[4][4], row by row)."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class SearchState:
    """All a searcher knows at round m: theta, and ``memory``, the plain JSON a rule needs beside it."""

    round: int
    theta: tuple[float, ...]
    memory: dict[str, Any]


@dataclass(frozen=True)
class Observation:
    """One trial as the search may see it: its point and the objective 1 - validation accuracy, to be minimised."""

    k: int
    point: Point
    objective: float
    failed: bool = False
    noise: float | None = None
    """Standard error of the objective where it is known, for rules that weigh observations."""
    fidelity: Fidelity = FULL


@dataclass(frozen=True)
class TrialSpec:
    """One schedule, one training. ``keep_rate`` is R(t) for t = 0..T-1."""

    round: int
    k: int
    label: str
    """The schedule's name: ``search``; a tuning of eq. (1), ``tau=0.3, t_k=8.1, c=1``; a candidate, ``searched 2``
    or ``tuned 1``; or a row of the final table, ``searched default tuned all``; in a comparison, which entry."""
    repeat: int
    """Number of the fresh seed of the choice or of the final comparison; 0 during search and tuning."""
    keep_rate: tuple[float, ...]
    init_seed: int
    order_seed: int
    noise_seed: int
    point: Point | None = None
    train: dict[str, Any] = param(dict, doc="fields of TrainSpec that this trial alone has different, as JSON")
    fidelity: Fidelity = FULL

    @property
    def share(self) -> float:
        """Share of a full training that the trial is."""
        return self.fidelity.share(len(self.keep_rate))


@dataclass(frozen=True)
class Round:
    """Trials under one theta (``kind`` search), a step of the final comparison (``tune choose retrain``), or all of a
    comparison job (``compare``)."""

    index: int
    kind: str
    trials: tuple[TrialSpec, ...]
    state: SearchState | None = None


@dataclass(frozen=True)
class PlanWanted:
    """The plan of this job is to be chosen, for so many machines like the one that is asked."""

    job: JobSpec
    n_machines: int = 1


@dataclass(frozen=True)
class Population:
    """Trials trained as one stacked program, with all that their training depends on."""

    data: DataSpec
    train: TrainSpec
    plan: PlanSpec
    tail_epochs: int
    trials: tuple[TrialSpec, ...]
    validate_every: int = 1
    """Epochs from one measurement of validation accuracy to the next, outside of the tail."""
    test_every: int | None = 1
    """The same for test accuracy; 0: none outside of the tail; None: none at all."""
    judged: bool = False
    """The evidence of held-out labels is measured after the last epoch."""
    noise_seed: int | None = None
    """Of a check: estimate the noise of given labels from this seed first."""
    lacks_noise_below: int = 0
    """Of a check: the job goes on where that noise cannot be estimated, of fewer rows than these."""
    choose: PlanWanted | None = None
    """Of a check: choose the job's plan first."""

    def is_measured(self, t: int, every: int | None) -> bool:
        """True if an accuracy that is due ``every`` so many epochs is measured in epoch t: in the tail always, unless
        it is never due (None)."""
        if every is None:
            return False
        in_tail = t >= self.n_epochs_run - self.tail_epochs
        return in_tail or (every > 0 and t % every == 0)

    @property
    def n_epochs_run(self) -> int:
        """Epochs that its trials have done at their end; the trials of a population agree in it."""
        return self.trials[0].fidelity.epochs_of(self.train.n_epochs)

    @property
    def data_share(self) -> float:
        """Share of the training samples its trials use; they agree in it."""
        return self.trials[0].fidelity.data_share


@dataclass(frozen=True)
class RoundRecord:
    """A finished round with its results, ordered by k."""

    round: Round
    results: tuple[TrialResult, ...]
