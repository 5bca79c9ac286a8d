"""Shapes of the API's answers: what the service sends and the client reads.

A request has no shape here: the door (:func:`s2e.door.parse_job`) and :mod:`s2e.words.asks` check what comes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from s2e.words.estimate import Estimate
from s2e.words.fields import param
from s2e.words.numbers import Number
from s2e.words.results import CompareReport, FinalAccuracies, Report, TrialNumbers
from s2e.words.states import JOB_STATES, TRIAL_STATES

T = TypeVar("T")
Numbers = tuple[float | None, ...]


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list."""

    items: tuple[T, ...]
    next_cursor: str | None = param(doc="asks for the next page; null on the last")


@dataclass(frozen=True)
class Items(Generic[T]):
    """A whole list."""

    items: tuple[T, ...]


# --- jobs -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a job. Totals are upper bounds until it has completed: a comparison may be decided early."""

    trials_done: int
    trials_total: int
    rounds_done: int
    rounds_total: int
    epochs_done: int
    epochs_total: int = param(doc="0 where the spec cannot be read")
    eta_s: float | None = param(doc="seconds left at the pace so far; null when it does not run")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of any kind: ``spec.kind``."""

    id: str
    name: str
    state: str = param(choices=JOB_STATES, doc="")
    reason: str
    title: str = param(doc="what it does, in a line")
    spec: dict[str, Any] = param(doc="as it was stored at submission")
    recommends: bool = param(False, doc="whether it searches schedules, and ends with a recommended one")
    report_kind: str = param("", doc="kind of its report: search or compare; empty where this release cannot tell")
    trains: str = param("", doc="its method, or how many are compared; empty where this release cannot tell")
    spec_version: int = param(doc="version of the shape of spec")
    unreadable: str = param(doc="why this release cannot read spec; empty when it can")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: Progress
    last_event_id: int = param(0, doc="the newest event that this answer knows of: the stream goes on behind it")
    estimate: Estimate | None = param(None, doc="what a check on a worker measured before the first round")
    owner: str = param("", doc="whose key submitted it; empty: everybody's")
    priority: int = param(0, doc="among the jobs of its owner: a higher one has its places first")
    data_gone: str = param("", doc="why its registered data are no longer what it was submitted with; empty: they are")
    population: int | None = param(
        None, doc="most trials of a population where memory held fewer than spec.plan.population; null: it held them"
    )


@dataclass(frozen=True)
class Fan:
    """Quantiles of R(t) under p_theta, at ``epochs``."""

    epochs: tuple[int, ...]
    q05: tuple[float, ...]
    q25: tuple[float, ...]
    q50: tuple[float, ...]
    q75: tuple[float, ...]
    q95: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class JobRound:
    """Trials under one theta, or one step of the final comparison (theta and fan are then null)."""

    round: int
    kind: str = param(doc="search, tune, choose, retrain, halve or compare")
    theta: tuple[float, ...] | None
    n_trials: int
    created_at: datetime
    fan: Fan | None


# --- trials -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class JobTrial(TrialNumbers):
    """One schedule, one training. Accuracies are means over the last epochs of the trial."""

    id: str
    job_id: str
    round: int
    k: int
    label: str
    repeat: int
    share: float = param(doc="share of a full training that it is")
    train: dict[str, Any] = param(doc="training settings that this trial alone has different")
    state: str = param(choices=TRIAL_STATES, doc="")
    attempt: int
    model: str | None = param(doc="its model file, below the artifact root; GET /trials/{id}/model sends it")
    reason: str
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class TrialAttempt:
    """One try at a trial."""

    attempt: int
    worker: str
    outcome: str
    reason: str
    n_stale: int = param(doc="events that came after it was given up")
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class TrialDetail(JobTrial):
    """A trial with its point x, R(t) for every epoch, seeds, final figures and attempts."""

    final: FinalAccuracies | None
    point: tuple[float, ...] | None
    keep_rate: tuple[float, ...]
    init_seed: int
    order_seed: int
    noise_seed: int
    attempts: tuple[TrialAttempt, ...]


@dataclass(frozen=True, kw_only=True)
class TrialEpochs:
    """Curves of one attempt, thinned."""

    attempt: int
    total: int = param(doc="how many epochs are recorded")
    epochs: tuple[int, ...]
    series: dict[str, Numbers] = param(doc="each number of an epoch, one value for each of epochs; null: not measured")
    networks: tuple[dict[str, Numbers], ...] = param(doc="the same of each network, where networks have their own")


# --- trials that somebody else trains ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LeasedTrial:
    """A trial that the caller is to train: R(t) for every epoch, and the lease to show with each report."""

    id: str
    round: int
    k: int
    label: str
    repeat: int
    attempt: int
    lease: str
    lease_until: datetime
    keep_rate: tuple[float, ...]
    train: dict[str, Any] = param(doc="training settings this trial alone has different, where the space has such")
    point: tuple[float, ...] | None
    init_seed: int
    order_seed: int
    noise_seed: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Trials leased by one ask. None of them while a round waits for its last results: ask again later, unless the job
    has ended."""

    job_state: str = param(choices=JOB_STATES, doc="")
    trials: tuple[LeasedTrial, ...]


@dataclass(frozen=True, kw_only=True)
class ReportedTrial:
    """A trial after a report."""

    id: str
    state: str = param(choices=TRIAL_STATES, doc="")
    attempt: int
    lease_until: datetime | None = param(doc="the report prolonged the lease; null once the trial has ended")
    objective: float | None


# --- schedules, curves, reports ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recommended:
    """The trial of the search that has the recommended schedule."""

    round: int
    k: int


@dataclass(frozen=True, kw_only=True)
class TrialSchedule:
    """R(t) of one trial at the epochs of the list."""

    id: str
    round: int
    k: int
    label: str
    state: str = param(choices=TRIAL_STATES, doc="")
    validation_accuracy: float | None
    keep_rate: tuple[float, ...]


@dataclass(frozen=True)
class TrialSchedules:
    """Every trial's R(t), thinned to the same epochs; or only the trials that have changed."""

    epochs: tuple[int, ...]
    items: tuple[TrialSchedule, ...]
    recommended: Recommended | None
    last_event_id: int = param(0, doc="the newest event that this answer knows of: ask with since to get what follows")
    whole: bool = param(True, doc="false: only trials that have changed, or come, behind since")


@dataclass(frozen=True, kw_only=True)
class JobSchedule:
    """The recommended R(t), one value per epoch, and the searched training settings that go with it."""

    recommended: Recommended | None
    provisional: bool
    label: str = param(
        choices=("searched", "default", "unknown"),
        doc="default: no trial has succeeded yet; unknown: this release cannot tell from the stored spec",
    )
    keep_rate: tuple[float, ...]
    train: dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """Mean, lowest and highest over the trials of one label at each of the list's epochs; null before any is there."""

    label: str
    n_trials: int
    mean: Numbers
    low: Numbers
    high: Numbers


@dataclass(frozen=True)
class Curves:
    """One number of every epoch, for each label of a job, thinned to the same epochs."""

    metric: str
    epochs: tuple[int, ...]
    items: tuple[Curve, ...]


@dataclass(frozen=True, kw_only=True)
class StoredReport:
    """Facts about a report beside its content."""

    created_at: datetime
    models: dict[str, str] = param(dict, doc="id of the trial behind each model file of the report")


@dataclass(frozen=True)
class SearchReport(StoredReport, Report):
    """The report of a search."""


@dataclass(frozen=True)
class ComparisonReport(StoredReport, CompareReport):
    """The report of a comparison."""


REPORTS: Mapping[str, type[SearchReport] | type[ComparisonReport]] = {
    shape.kind: shape for shape in (SearchReport, ComparisonReport)
}
"""The shape of a report by its ``kind``; releases before there was a second wrote none, and searched."""


# --- labels -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class JobLabel:
    """The audit's verdict on one given label; columns as cleanlab names them."""

    id: str = param(doc="the row's own id, or its number in the file")
    is_label_issue: bool = param(doc="among the worst rows, as many as labels are estimated to be wrong")
    label_quality: float = param(doc="mean rank of the label among all; near 0 the one that is most likely wrong")
    given_label: str
    predicted_label: str = param(doc="the class the row more likely has")
    probability_wrong: float | None = param(doc="null where it would not be calibrated; note says why")
    split: str = param(
        "train",
        choices=("train", "validation", "test"),
        doc="the part the row belongs to; networks that judge the last two trained on neither",
    )


@dataclass(frozen=True, kw_only=True)
class JobLabels:
    """One page of a job's labels, the worst first."""

    items: tuple[JobLabel, ...]
    next_cursor: str | None = param(doc="asks for the next page; null on the last")
    score: str = param(choices=("cross_fitted", "free"), doc="which trainings judged: others, or the job's own")
    note: str = param(doc="what the numbers are, and what they are not")
    n_rows: int = param(doc="labels that were audited: of the rows that train, validate and test")
    n_issues: int
    n_chosen: int = param(doc="labels that fit what was asked for")
    n_trainings: int = param(doc="trainings of the job that judged; 0 where others did")


# --- names, places, the service itself --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """A name a job may use, in one sentence."""

    name: str
    summary: str


@dataclass(frozen=True)
class NamedDataset(Named):
    """A data set: one of the package, or one that was registered with this service."""

    registered: bool = param(doc="true: a job names it in data.registered; false: in data.name")


@dataclass(frozen=True)
class NamedMethod(Named):
    """A training method with its hyperparameters."""

    params: dict[str, Any] = param(doc="JSON schema of the hyperparameters: ranges, defaults and sentences")
    per_dataset: dict[str, dict[str, Any]] = param(doc="defaults that differ for a data set")
    scheduled: bool = param(doc="whether it trains under a keep-rate schedule")
    needs: tuple[str, ...] = param(doc="what it cannot train without")


@dataclass(frozen=True)
class NamedProtocol(Named):
    """A published training protocol: the part of a job it stands for, by data set."""

    datasets: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class LogLine:
    """A line of the log of a trial or a job. Of each try the last 200 that its trainer wrote are kept."""

    at: datetime = param(doc="by the clock of the machine that wrote it")
    attempt: int = param(doc="which try at the trial; 0 before the first, and in the log of a job")
    level: str = param(doc="debug, info, warning, error or critical")
    source: str = param(doc="the logger that a trainer wrote it with (print: standard output), or service: a state")
    text: str = param(doc="without secrets; of a state, its reason")
    trial_id: str | None = param(None, doc="of a state: which trial's; null: the job's, or a trainer's line")


@dataclass(frozen=True)
class NumberTables:
    """Every number of an epoch, of a trial, and of the rows of both kinds of report."""

    epoch: tuple[Number, ...]
    trial: tuple[Number, ...]
    search_row: tuple[Number, ...]
    compare_row: tuple[Number, ...]


@dataclass(frozen=True)
class Circuit:
    """A cause of losses for which jobs that need what fails are not placed at a place."""

    cause: str = param(doc="the fault of the place in a few words")
    reason: str = param(doc="of the last loss")
    since: datetime = param(doc="when it was shut first")
    need: str = param("", doc="the part of the place that fails; empty: every job needs it")
    everywhere: bool = param(
        False, doc="it struck at one place after the other, so none is tried but by one population"
    )
    next_try: datetime | None = param(None, doc="one population tries then; null: one tries now")


@dataclass(frozen=True)
class Worker:
    """A place that trains: its resources, and how many populations it trained when last seen."""

    name: str
    cpus: float
    gpus: float
    busy: int
    seen_at: datetime
    trouble: str = param("", doc="why it is quarantined: it lost several populations in a row")
    quarantined_until: datetime | None = param(None, doc="nothing is placed there until then; null: it is not")
    circuits: tuple[Circuit, ...] = param((), doc="the causes for which some jobs, or all, are not placed there")


@dataclass(frozen=True)
class Health:
    status: str = param(choices=("ok",), doc="the process answers")


@dataclass(frozen=True)
class Readiness:
    status: str = param(choices=("ready",), doc="the service can work")
    database: str = param(choices=("ok",), doc="it can be written to")
    migrations: str = param(choices=("head",), doc="its schema is the one this program was written for")
    disk: str = param(choices=("ok",), doc="artifacts can be written, and there is room for them")
    dispatcher: str = param(choices=("ok",), doc="one lives, and its backend is there")
    places: str = param(choices=("ok",), doc="there is one that trains")


@dataclass(frozen=True)
class FieldProblem:
    field: str
    value: Any
    allowed: str


@dataclass(frozen=True)
class ProblemDocument:
    """RFC 9457 problem document with a stable ``code``."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    errors: tuple[FieldProblem, ...] | None = param(None, doc="each refused field")
