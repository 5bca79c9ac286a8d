"""What is measured and reported: the later half of the vocabulary of :mod:`s2e.words.job`, which gives it out.

EpochMetrics -> TrialResult -> Report
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2e.words.fields import param


@dataclass(frozen=True)
class EpochMetrics:
    """One trial after epoch t. Accuracies and rates in [0, 1], mean over the trial's networks; None: not a number, or
    not measured in this epoch."""

    k: int
    epoch: int
    loss: float | None
    keep_rate: float
    """R(t) as asked."""
    kept: float
    """Fraction of the mini-batch really kept (whole samples, at least one)."""
    label_precision: float | None
    """Clean among selected."""
    label_recall: float | None
    """Selected among clean."""
    validation_accuracy: float | None
    test_accuracy: float | None
    """Measured and shown, never fed back."""
    validation_ensemble: float | None = None
    """Accuracy of the largest sum of the networks' logits; never mixed with the mean over networks."""
    test_ensemble: float | None = None
    train_accuracy: float | None = None
    """On the labels trained on, noise included, from the training's own forward passes."""
    clean_correct: float | None = None
    """Of the samples with a clean label, those predicted as it (ELR Fig. 1)."""
    wrong_correct: float | None = None
    """Of the samples with a wrong label, those predicted as their true class."""
    wrong_memorised: float | None = None
    """Of the samples with a wrong label, those predicted as that label; what is left is incorrect."""
    networks: tuple[tuple[float | None, float | None, float | None], ...] = ()
    """(train, validation, test) accuracy of each network."""


@dataclass(frozen=True)
class FinalAccuracy:
    """Test accuracy of one training in the three ways that papers quote it. One kind is never compared with another."""

    best: float
    """The largest of all epochs: chosen on the test set, so it flatters (S2E Table 2, DivideMix)."""
    last_ten: float
    """Mean over the final ten epochs (SIGUA, Co-teaching)."""
    at_best_validation: float
    """At the first epoch with the best validation accuracy (ELR, ELR+)."""
    best_validation_epoch: int


@dataclass(frozen=True)
class FinalAccuracies:
    """Final figures of the mean over a trial's networks and, apart from it, of their ensemble; None: not measured."""

    mean: FinalAccuracy | None
    ensemble: FinalAccuracy | None
    wrong_memorised: float | None
    """Mean over the final ten epochs of the wrong labels that are predicted."""


@dataclass(frozen=True)
class TrialResult:
    """The end of one trial. Means are over the last ``tail_epochs``; a failed trial has a reason and no numbers."""

    round: int
    k: int
    failed: bool = False
    reason: str = ""
    objective: float | None = None
    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    label_precision: float | None = None
    model: str | None = None
    """Path of the trained networks below the artifact root, where one was kept."""
    final: FinalAccuracies | None = None


@dataclass(frozen=True)
class ReportRow:
    """One schedule re-trained on fresh seeds. Intervals are 95 % (Student t over seeds); those of differences hold for
    all looks together."""

    label: str
    title: str
    keep_rate: tuple[float, ...]
    test_accuracy: tuple[float, ...]
    mean: float | None
    half_width: float | None
    label_precision: float | None
    difference: float | None
    """Mean paired difference searched - this row, same seeds; None for the searched row itself."""
    difference_half_width: float | None
    n_failed: int = 0
    train: dict[str, Any] = param(dict, doc="searched training settings that go with the schedule")
    last_ten: float | None = None
    """Test accuracy of the final ten epochs, mean over the seeds; ``mean`` averages the epochs of the objective."""
    best: float | None = None
    """Of the best epoch of each seed, chosen on the test set: it flatters."""
    at_best_validation: float | None = None


@dataclass(frozen=True)
class Report:
    """What a job ends with: the recommended schedule, the best run, the comparison and what it supports, in words."""

    recommended: tuple[int, int] | None
    """(round, k) of the recommended schedule: of the lowest posterior means the best on fresh seeds."""
    best_run: tuple[int, int] | None
    """(round, k) of the best single training seen by validation: a model, not a schedule."""
    best_run_validation_accuracy: float | None
    best_run_model: str | None
    recommended_model: str | None
    """Model file of the first fresh-seed re-training of the recommended schedule."""
    keep_rate: tuple[float, ...]
    rows: tuple[ReportRow, ...]
    verdict: str
    train: dict[str, Any] = param(dict, doc="searched training settings of the recommended schedule")
    basis: str = ""
    """What the numbers rest on, in words: the budgets of both sides, and how seeds were spent."""
    kind: str = "search"
