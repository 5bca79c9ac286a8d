"""Shapes of a comparison job's answers: its report, and the curves of its entries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from service.api.schemas import Numbers, ReportOut, Shape


class ComparedOut(Shape):
    """One figure of an entry by seed (null: the training failed, or has no such figure), and its mean paired difference
    to the baseline, null for the baseline itself. Intervals are 95 %."""

    values: Numbers
    mean: float | None
    half_width: float | None
    difference: float | None
    difference_half_width: float | None


class CompareRowOut(Shape):
    """One entry. ``last_ten``, ``best`` and ``at_best_validation`` are test accuracies and never compared with one
    another; ``validation`` is the objective's. Means over the networks; ``ensemble_...`` are of their summed logits."""

    label: str
    method: str
    params: dict[str, Any]
    train: dict[str, Any]
    schedule: str
    uses_schedule: bool
    keep_rate: list[float]
    n_failed: int
    model: str | None
    validation: ComparedOut
    last_ten: ComparedOut
    best: ComparedOut
    at_best_validation: ComparedOut
    ensemble_last_ten: ComparedOut
    ensemble_best: ComparedOut
    ensemble_at_best_validation: ComparedOut
    label_precision: ComparedOut
    wrong_memorised: ComparedOut


class CompareReportOut(Shape):
    """What a comparison ends with; ``verdict`` claims what all paired differences together support."""

    kind: Literal["compare"]
    rows: list[CompareRowOut]
    verdict: str
    baseline: str
    n_seeds: int
    created_at: datetime


AnyReport = Annotated[ReportOut | CompareReportOut, Field(discriminator="kind")]
REPORT_SHAPES: Mapping[str, type[ReportOut | CompareReportOut]] = {"search": ReportOut, "compare": CompareReportOut}
"""Shape of the report of each kind of job."""
CurveName = Literal[
    "test_accuracy",
    "validation_accuracy",
    "test_ensemble",
    "validation_ensemble",
    "train_accuracy",
    "clean_correct",
    "wrong_correct",
    "wrong_memorised",
    "label_precision",
    "label_recall",
    "kept",
    "loss",
]


class Curve(Shape):
    """Mean, lowest and highest over the trials of one label at each of the list's epochs; null before any is there."""

    label: str
    n_trials: int
    mean: Numbers
    low: Numbers
    high: Numbers


class CurvesOut(Shape):
    """One number of every epoch, for each label of a job, thinned to the same epochs."""

    metric: CurveName
    epochs: list[int]
    items: list[Curve]
