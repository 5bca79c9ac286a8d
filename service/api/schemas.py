"""Shapes of the answers. The request body has no shape here: ``s2e.words.job.parse_job`` is its only validator."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")
JobState = Literal["queued", "running", "paused", "cancelling", "cancelled", "completed", "failed"]
TrialState = Literal["pending", "leased", "running", "succeeded", "pruned", "failed", "cancelled", "lost"]
RoundKind = Literal["search", "tune", "choose", "retrain", "compare"]
Numbers = list[float | None]


class Shape(BaseModel):
    model_config = ConfigDict(from_attributes=True, extra="forbid")


class Page(Shape, Generic[T]):
    """One page of a list; ``next_cursor`` asks for the next one, null on the last."""

    items: list[T]
    next_cursor: str | None


class Items(Shape, Generic[T]):
    items: list[T]


class Progress(Shape):
    """How far a job is. Totals are upper bounds until it has completed: a comparison may be decided early.
    ``eta_s``: seconds left at the pace so far; null when it does not run."""

    trials_done: int
    trials_total: int
    rounds_done: int
    rounds_total: int
    epochs_done: int
    epochs_total: int
    eta_s: float | None


class JobOut(Shape):
    """One search, or one comparison: ``spec.kind``."""

    id: str
    name: str
    state: JobState
    reason: str
    spec: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: Progress


class Fan(Shape):
    """Quantiles of R(t) under p_theta, at ``epochs``."""

    epochs: list[int]
    q05: list[float]
    q25: list[float]
    q50: list[float]
    q75: list[float]
    q95: list[float]


class RoundOut(Shape):
    """Trials under one theta, or one step of the final comparison (theta and fan are then null)."""

    round: int
    kind: RoundKind
    theta: list[float] | None
    n_trials: int
    created_at: datetime
    fan: Fan | None


class TrialOut(Shape):
    """One schedule, one training. Accuracies are means over the last epochs of the trial; ``train`` holds the training
    settings that this trial alone has different."""

    id: str
    job_id: str
    round: int
    k: int
    label: str
    repeat: int
    train: dict[str, Any]
    state: TrialState
    attempt: int
    objective: float | None
    validation_accuracy: float | None
    test_accuracy: float | None
    label_precision: float | None
    model: str | None
    reason: str
    started_at: datetime | None
    finished_at: datetime | None


class LeasedTrial(Shape):
    """A trial to be trained by whoever asked: R(t) for every epoch, and the lease to show with each report."""

    id: str
    round: int
    k: int
    label: str
    repeat: int
    attempt: int
    lease: str
    lease_until: datetime
    keep_rate: list[float]
    train: dict[str, Any]
    """Training settings this trial alone has different, where the space has such parameters."""
    point: list[float] | None
    init_seed: int
    order_seed: int
    noise_seed: int


class AskOut(Shape):
    """Trials leased by one ask. None of them while a round waits for its last results: ask again later, unless the job
    has ended."""

    job_state: JobState
    trials: list[LeasedTrial]


class ReportedTrial(Shape):
    """A trial after a report. ``lease_until``: the report prolonged the lease; null once the trial has ended."""

    id: str
    state: TrialState
    attempt: int
    lease_until: datetime | None
    objective: float | None


class AttemptOut(Shape):
    """One try at a trial. ``n_stale``: events that came after it was given up."""

    attempt: int
    worker: str
    outcome: str
    reason: str
    n_stale: int
    created_at: datetime
    ended_at: datetime | None


class FinalAccuracy(Shape):
    """Test accuracy in the three ways papers quote it; one kind is never compared with another. ``best`` is the largest
    of all epochs, so chosen on the test set; ``last_ten`` the mean over the final ten."""

    best: float
    last_ten: float
    at_best_validation: float
    best_validation_epoch: int


class FinalAccuracies(Shape):
    """Of the mean over a trial's networks and, apart from it, of their ensemble (summed logits)."""

    mean: FinalAccuracy | None
    ensemble: FinalAccuracy | None
    wrong_memorised: float | None


class TrialDetail(TrialOut):
    """A trial with its point x, R(t) for every epoch, seeds, final figures and attempts."""

    final: FinalAccuracies | None
    point: list[float] | None
    keep_rate: list[float]
    init_seed: int
    order_seed: int
    noise_seed: int
    attempts: list[AttemptOut]


class Recommended(Shape):
    """Which trial of the search has the recommended schedule."""

    round: int
    k: int


class TrialSchedule(Shape):
    """R(t) of one trial at the epochs of the list."""

    id: str
    round: int
    k: int
    label: str
    state: TrialState
    validation_accuracy: float | None
    keep_rate: list[float]


class SchedulesOut(Shape):
    """Every trial's R(t), thinned to the same epochs."""

    epochs: list[int]
    items: list[TrialSchedule]
    recommended: Recommended | None


class ScheduleOut(Shape):
    """The recommended R(t), one value per epoch, and the searched training settings that go with it. ``label`` is
    ``searched``, or ``default`` while no trial succeeded."""

    recommended: Recommended | None
    provisional: bool
    label: Literal["searched", "default"]
    keep_rate: list[float]
    train: dict[str, Any]


class Series(Shape):
    """One value for each of ``epochs``; null where there is no number."""

    loss: Numbers
    keep_rate: Numbers
    kept: Numbers
    label_precision: Numbers
    label_recall: Numbers
    validation_accuracy: Numbers
    test_accuracy: Numbers
    validation_ensemble: Numbers
    test_ensemble: Numbers
    train_accuracy: Numbers
    clean_correct: Numbers
    wrong_correct: Numbers
    wrong_memorised: Numbers


class NetworkSeries(Shape):
    """Accuracies of one network, one value for each of ``epochs``."""

    train_accuracy: Numbers
    validation_accuracy: Numbers
    test_accuracy: Numbers


class EpochsOut(Shape):
    """Curves of one attempt, thinned; ``total`` counts the epochs recorded. ``series`` holds means over the networks
    and the ensemble's accuracies, ``networks`` those of each network.

    Of the samples with a wrong label, ``wrong_correct`` are predicted as their true class and ``wrong_memorised`` as
    the given label; of those with a clean label ``clean_correct`` as it. What is left is incorrect (ELR Fig. 1).
    """

    attempt: int
    total: int
    epochs: list[int]
    series: Series
    networks: list[NetworkSeries]


class ReportRowOut(Shape):
    """One schedule re-trained on fresh seeds. Intervals are 95 %; differences: searched - this row, paired by seed.

    ``mean`` averages the epochs of the objective; ``last_ten``, ``best`` and ``at_best_validation`` are other kinds of
    test accuracy, means over the seeds, never to be compared with one another.
    """

    label: str
    title: str
    keep_rate: list[float]
    test_accuracy: list[float]
    mean: float | None
    half_width: float | None
    label_precision: float | None
    difference: float | None
    difference_half_width: float | None
    n_failed: int
    train: dict[str, Any] = {}
    last_ten: float | None = None
    best: float | None = None
    at_best_validation: float | None = None


class ReportOut(Shape):
    """What a job ends with. ``recommended`` and ``best_run`` are (round, k): a schedule and a single training.
    ``train`` holds the searched training settings of the recommended schedule."""

    recommended: tuple[int, int] | None
    best_run: tuple[int, int] | None
    best_run_validation_accuracy: float | None
    best_run_model: str | None
    recommended_model: str | None
    keep_rate: list[float]
    rows: list[ReportRowOut]
    verdict: str
    train: dict[str, Any] = {}
    basis: str = ""
    kind: Literal["search"] = "search"
    created_at: datetime


class Named(Shape):
    """A name a job may use, in one sentence."""

    name: str
    summary: str


class MethodOut(Named):
    """A training method with its hyperparameters: ``params`` is their JSON schema with ranges, defaults and sentences,
    ``per_dataset`` the defaults that differ for a data set, ``scheduled`` whether it trains under a keep-rate schedule,
    ``needs`` what it cannot train without."""

    params: dict[str, Any]
    per_dataset: dict[str, dict[str, Any]]
    scheduled: bool
    needs: list[str]


class ProtocolOut(Named):
    """A published training protocol: the part of a job it stands for, by data set."""

    datasets: dict[str, dict[str, Any]]


class WorkerOut(Shape):
    """A place that trains: what it has, and how many populations it trained when last seen."""

    name: str
    cpus: float
    gpus: float
    busy: int
    seen_at: datetime


class Health(Shape):
    status: Literal["ok"]


class Readiness(Shape):
    status: Literal["ready"]
    database: Literal["ok"]
    migrations: Literal["head"]


class FieldProblem(Shape):
    field: str
    value: Any
    allowed: str


class ProblemOut(BaseModel):
    """RFC 9457 problem document with a stable ``code``; ``errors`` names each refused field."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    errors: list[FieldProblem] | None = None
