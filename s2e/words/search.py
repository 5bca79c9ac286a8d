"""The sections of a job about the search and its final comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2e.words.earlier import EarlierTrials
from s2e.words.fields import param


@dataclass(frozen=True)
class SearchSpec:
    """The schedules to try, and the rule that chooses the next ones."""

    searcher: str = param("model_newton", names="searchers", doc="search rule")
    space: str = param("s2e", names="spaces", doc="space of schedules")
    parameters: dict[str, Any] = param(
        dict,
        doc="training parameters searched beside the schedule, by field: "
        '{"train.learning_rate": {"kind": "log", "low": 1e-4, "high": 1e-2}}; kinds: linear, log and integer (low, '
        "high), choice (values), simplex (fields, total; its name is free)",
    )
    n_rounds: int = param(
        5,
        ge=1,
        le=10_000,
        doc="rounds M; theta moves once after each. Rules with short trials get M x K full trainings",
    )
    n_trials: int = param(6, ge=1, le=1_000, doc="trials K of one round")
    warm_start: tuple[str, ...] = param(
        (),
        max_length=40,
        doc="ids of earlier jobs on similar data: model_newton learns from their trials as far as their objective is "
        "related to this one's, and forgets them where it is not",
    )
    earlier: tuple[EarlierTrials, ...] = param(
        (), max_length=40, doc="the trials of warm_start, looked up by the service at submission; leave it out"
    )
    tail_epochs: int | None = param(
        None, ge=1, le=10_000, doc="last epochs averaged by the objective; null: max(5, T/10), at most T"
    )
    params: dict[str, Any] = param(dict, doc="settings of the rule, by name; what is missing gets defaults")
    space_params: dict[str, Any] = param(dict, doc="settings of the space, by name; what is missing gets defaults")


@dataclass(frozen=True)
class ReportSpec:
    """The final comparison: fresh-seed re-training of the searched schedule and its rivals."""

    n_seeds: int = param(
        5, ge=2, le=100, doc="fewest fresh seeds (initial weights, data order, noise draw) per schedule"
    )
    max_seeds: int | None = param(
        None,
        ge=2,
        le=1_000,
        doc="most fresh seeds per schedule, spent while they are likely to decide the tuned eq. (1) or the best rival; "
        "null: eight times n_seeds",
    )
    n_candidates: int = param(
        3, ge=1, le=20, doc="best schedules of the search and of eq. (1) that fresh seeds choose among; 1: no choice"
    )
    n_choice_seeds: int = param(2, ge=1, le=100, doc="fresh seeds of that choice, none of them used again")
    tuned_trials: int | None = param(
        None, ge=1, le=100_000, doc="trials that tune eq. (1), the default schedule among them; null: as the search has"
    )
    taus: tuple[float, ...] | None = param(
        None,
        max_length=100,
        ge=0,
        lt=1,
        doc="tune eq. (1) over these values of tau only, with t_k = ramp_epochs; null: over tau, t_k and c",
    )
    ramp_epochs: int = param(10, ge=1, le=10_000, doc="epochs t_k over which eq. (1) falls to 1 - tau")
    ramp: str = param(
        "equation",
        choices=("equation", "official_linspace"),
        doc="eq. (1) as printed, or the official program's ramp, which reaches 1 - tau one epoch earlier",
    )
    tau: float | None = param(None, ge=0, lt=1, doc="tau of the default Co-teaching schedule; null: the noise rate")
    trusted: bool | None = param(
        None,
        doc="of given labels: the comparison has rows of methods that know which rows are trusted (data.trusted), and "
        "all trusted rows train in it, those that ranked schedules too; null: where some are",
    )
    rules: int = param(
        2,
        ge=1,
        le=2,
        doc="of the comparison. 2: both sides have one optimiser, seeds are added where they decide; 1: those of jobs "
        "stored before, eq. (1) tuned on Sobol's sequence, each side chosen by its own trials, at most twice n_seeds, "
        "an end once the rival with the smallest difference is decided",
    )
