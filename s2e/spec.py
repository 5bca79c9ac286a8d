"""The vocabulary: what crosses a process, a table or the network, as frozen dataclasses and plain JSON.

    JobSpec -> SearchState -> Point -> keep_rate -> TrialSpec -> EpochMetrics -> TrialResult -> Observation -> Report

``to_json`` and ``parse`` of :mod:`s2e.validation` turn each of them into plain JSON and back.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from s2e.compare.spec import CompareSpec, complete
from s2e.data.checks import data_problems
from s2e.data.limits import sample_shape, size_problems
from s2e.data.normalisation import normalise_problems
from s2e.data.spec import CsvSpec, DataSpec, NoiseSpec
from s2e.earlier import earlier_problems
from s2e.errors import Problem, SpecError
from s2e.fidelity import FULL, Fidelity
from s2e.methods.params import need_problems, parse_params
from s2e.models.limits import image_problems
from s2e.models.params import parse_network_params
from s2e.overrides import parameter_problems
from s2e.protocols import expand, protocols
from s2e.results import EpochMetrics, FinalAccuracies, FinalAccuracy, Report, ReportRow, TrialResult
from s2e.search.checks import searcher_problems
from s2e.search_spec import ReportSpec, SearchSpec, report_problems
from s2e.train_spec import TrainSpec, train_problems
from s2e.validation import param, parse, to_json

SPEC_VERSION = 1

# --- what a user asks for ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlanSpec:
    """Everything about execution that can change a number; stored with the job."""

    device: str = param("cpu", choices=("cpu", "cuda"), doc="where populations train")
    dtype: str = param(
        "float32",
        choices=("float32", "bfloat16", "float64"),
        doc="arithmetic of search trials; re-training uses float32",
    )
    population: int = param(3, ge=1, le=1_024, doc="most trials trained together as one stacked program")
    threads: int = param(1, ge=1, le=256, doc="CPU threads of one population")


@dataclass(frozen=True)
class JobSpec:
    """One search, or one comparison: data, training, what is searched or compared, and the execution plan."""

    name: str = param("", max_length=120, doc="a name for people")
    kind: str = param(
        "search",
        choices=("search", "compare"),
        doc="search: find a schedule; compare: train the entries of compare on the same seeds (of search, only "
        "tail_epochs then matters, and of report only tau and ramp_epochs)",
    )
    seed: int = param(0, ge=0, lt=2**63, doc="the seed all randomness of the job is derived from")
    trials: str = param(
        "internal",
        choices=("internal", "external"),
        doc="who trains: the service's own workers, or, external, your own program, which asks for schedules under a "
        "lease and reports back (of data and train, only train.n_epochs and the noise rate then matter)",
    )
    protocol: str | None = param(
        None,
        choices=lambda: protocols(),
        doc="a published training protocol: its values stand in every field of data and train that the job does not "
        "set itself; null: the fields' own defaults",
    )
    data: DataSpec = param(DataSpec, doc="data set, noise and split")
    train: TrainSpec = param(TrainSpec, doc="how one trial is trained")
    search: SearchSpec = param(SearchSpec, doc="how schedules are searched")
    report: ReportSpec = param(ReportSpec, doc="the final comparison")
    compare: CompareSpec | None = param(None, doc="what a job of kind compare compares")
    plan: PlanSpec = param(PlanSpec, doc="execution plan")

    @property
    def tail_epochs(self) -> int:
        """Epochs averaged by the objective: mean validation accuracy over the last of them (design invariant 4)."""
        n_epochs = self.train.n_epochs
        return min(n_epochs, self.search.tail_epochs or max(5, n_epochs // 10))


def _complete(spec: JobSpec, problems: list[Problem]) -> TrainSpec:
    """The training with every hyperparameter of its method and network; refusals go to ``problems``."""
    train = spec.train
    try:
        params = parse_params(train.method, spec.data.name, train.params)
        problems += params.job_problems(train, spec.data)
        train = replace(train, params=to_json(params))
    except SpecError as error:
        problems += error.problems
    try:
        train = replace(train, network_params=to_json(parse_network_params(train.network, train.network_params)))
    except SpecError as error:
        problems += error.problems
    return train


def parse_job(data: Any) -> JobSpec:
    """A JobSpec from plain JSON, with the rules that join two fields. Raises SpecError with all problems.

    ``train.params``, ``train.network_params`` and all that a protocol stands for come back complete: a stored job keeps
    its numbers when a default changes.
    """
    spec = parse(JobSpec, expand(data))
    problems: list[Problem] = []
    spec = replace(spec, train=_complete(spec, problems))
    problems += searcher_problems(spec.search.searcher, spec.search.n_trials, spec.trials)
    search = spec.search
    problems += earlier_problems(search.searcher, search.space, search.parameters, search.warm_start, search.earlier)
    problems += image_problems(spec.train.network, sample_shape(spec.data.name))
    problems += train_problems(spec.train)
    problems += data_problems(spec.data, spec.train.augment)
    problems += normalise_problems(spec.data)
    problems += need_problems(spec.train.method, n_clean=spec.data.n_clean)
    problems += size_problems(spec.data, spec.train.batch_size)
    problems += report_problems(spec.report)
    problems = problems or parameter_problems(spec)
    spec, found = _with_complete_entries(spec)
    problems += found
    if problems:
        raise SpecError(*problems)
    return spec


def _with_complete_entries(spec: JobSpec) -> tuple[JobSpec, list[Problem]]:
    """A comparison with its entries complete, and what is wrong with them or with their being there."""
    if spec.kind == "search":
        given = [] if spec.compare is None else [Problem("compare", "given", "nothing: the job's kind is search")]
        return spec, given
    if spec.compare is None:
        return spec, [Problem("compare", None, "required for kind compare")]
    compare, problems = complete(spec.compare, spec.data, spec.train)
    if spec.trials == "external":
        problems.append(Problem("trials", "external", "internal: the service trains what it compares"))
    return replace(spec, compare=compare), problems


# --- what a search is made of -----------------------------------------------------------------------------------------


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
    """What the search may see of one trial: its point and the objective 1 - validation accuracy, to be minimised."""

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
    """Which schedule this is: ``search``; a tuning of eq. (1), ``tau=0.3, t_k=8.1, c=1``; a candidate, ``searched 2``
    or ``tuned 1``; or a row of the final table, ``searched default tuned all``; in a comparison, which entry."""
    repeat: int
    """Which fresh seed of the choice or of the final comparison; 0 during search and tuning."""
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
class Population:
    """Trials trained as one stacked program, with all that their training depends on."""

    data: DataSpec
    train: TrainSpec
    plan: PlanSpec
    tail_epochs: int
    trials: tuple[TrialSpec, ...]

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


# --- seeds and identity -----------------------------------------------------------------------------------------------


def derive_seed(*path: int | str) -> int:
    """A 63-bit seed from a path such as (job seed, "order", round): the same everywhere, independent of hash seeds."""
    digest = hashlib.blake2b("/".join(str(part) for part in path).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


__all__ = [
    "FULL",
    "CsvSpec",
    "DataSpec",
    "EpochMetrics",
    "Fidelity",
    "FinalAccuracies",
    "FinalAccuracy",
    "JobSpec",
    "NoiseSpec",
    "Observation",
    "PlanSpec",
    "Point",
    "Population",
    "Report",
    "ReportRow",
    "ReportSpec",
    "Round",
    "RoundRecord",
    "SearchSpec",
    "SearchState",
    "TrainSpec",
    "TrialResult",
    "TrialSpec",
    "derive_seed",
    "parse",
    "parse_job",
    "replace",
    "to_json",
]  # fmt: skip
