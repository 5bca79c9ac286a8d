"""Measurements and reports: EpochMetrics -> TrialResult -> Report or CompareReport.

Fields made with :func:`number` are the one table of numbers: code that saves, sends or shows them reads it from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from s2e.words.fields import param
from s2e.words.numbers import number


@dataclass(frozen=True, kw_only=True)
class EpochNumbers:
    """Numbers of one epoch of a trial, mean over its networks; None: not measured, or not a number."""

    loss: float | None = number(None, title="training loss", unit="number", doc="mean loss of the samples trained on")
    kept: float | None = number(
        None, title="share of the batch kept", doc="fraction of the mini-batches really kept (whole samples)"
    )
    label_precision: float | None = number(
        None, title="label precision of the selection", live=True, doc="clean among selected"
    )
    label_recall: float | None = number(None, title="label recall of the selection", doc="selected among clean")
    train_accuracy: float | None = number(
        None,
        title="training accuracy, noisy labels",
        networks=True,
        doc="on the labels trained on, noise included, from the training's own forward passes",
    )
    validation_accuracy: float | None = number(
        None, title="validation accuracy", searched=True, live=True, networks=True, doc="what the search sees"
    )
    test_accuracy: float | None = number(
        None,
        title="test accuracy",
        networks=True,
        doc="measured and shown, never fed back; against the given labels where the job's labels are given",
    )
    validation_ensemble: float | None = number(
        None,
        title="validation accuracy of the ensemble",
        doc="of the largest sum of the networks' logits; never mixed with the mean over networks",
    )
    test_ensemble: float | None = number(
        None, title="test accuracy of the ensemble", doc="of the largest sum of the networks' logits"
    )
    clean_correct: float | None = number(
        None, title="clean labels: predicted correctly", doc="of the samples with a clean label (ELR Fig. 1)"
    )
    wrong_correct: float | None = number(
        None, title="wrong labels: true class predicted", doc="of the samples with a wrong label (ELR Fig. 1)"
    )
    wrong_memorised: float | None = number(
        None,
        title="wrong labels: memorised",
        doc="of the samples with a wrong label, those predicted as that label; what is left is incorrect",
    )


@dataclass(frozen=True)
class EpochMetrics(EpochNumbers):
    """One trial after epoch t."""

    k: int
    epoch: int
    keep_rate: float = number(title="keep rate R(t)", doc="R(t) as asked")
    networks: tuple[tuple[float | None, ...], ...] = ()
    """Of each network the numbers that are declared with ``networks``, in their order."""


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
class Evidence:
    """Held-out labels on a training after its last epoch; noisy ones row by row, so that trainings are judged together
    and compared in pairs."""

    right: float | None = None
    """Share predicted right, of rows whose labels are right."""
    n_right: int = 0
    n_noisy: int = 0
    """Rows whose labels may be wrong; of very many, some."""
    predicted: str = ""
    """Of those rows the predicted classes: base64 of 16-bit whole numbers, the lowest byte first."""
    joint: str = ""
    """Of those rows and every class the joint probability that it is the true one and the label is given, by the
    training's own prediction and the noise's matrix: base64 of 16-bit floating-point numbers, row by row."""


@dataclass(frozen=True)
class FinalAccuracies:
    """Final figures of the mean over a trial's networks and, apart from it, of their ensemble; None: not measured."""

    mean: FinalAccuracy | None
    ensemble: FinalAccuracy | None
    wrong_memorised: float | None
    """Mean over the final ten epochs of the wrong labels that are predicted."""
    balanced: float | None = None
    """Mean over the classes of test accuracy, of the networks after the last epoch; of trainings in a report."""
    noisy_likelihood: float | None = None
    """Mean ln P(noisy validation label) under the noise's matrix, with the best temperature. Of whole trainings that
    validate on noisy labels of a known matrix."""
    evidence: Evidence | None = None
    """Of trainings that are chosen among."""
    members: tuple[str, ...] = ()
    """Of a mean of models: those that it is of, by method and settings."""


@dataclass(frozen=True, kw_only=True)
class TrialNumbers:
    """Numbers of a finished trial. Numbers ``over`` the tail are means of the epoch's number of the same name."""

    validation_accuracy: float | None = number(
        None, title="validation accuracy", searched=True, over="tail", live=True, doc="what the search sees"
    )
    test_accuracy: float | None = number(
        None,
        title="test accuracy (shown only)",
        over="tail",
        doc="measured and shown, never fed back; against the given labels where the job's labels are given",
    )
    label_precision: float | None = number(None, title="label precision", over="tail", doc="clean among selected")
    objective: float | None = number(
        None, title="objective", unit="number", searched=True, doc="1 - validation accuracy, to be minimised"
    )


@dataclass(frozen=True)
class TrialResult(TrialNumbers):
    """The end of one trial. Means are over the last ``tail_epochs``; a failed trial has a reason and no numbers."""

    round: int
    k: int
    failed: bool = False
    reason: str = ""
    model: str | None = None
    """Path of the trained networks below the artifact root, where one was kept."""
    final: FinalAccuracies | None = None


@dataclass(frozen=True, kw_only=True)
class ReportRow:
    """One schedule re-trained on fresh seeds. Intervals are 95 % (Student t over seeds); those of differences hold for
    all looks together. Kinds of test accuracy are never compared with one another."""

    label: str
    title: str
    keep_rate: tuple[float, ...]
    test_accuracy: tuple[float, ...]
    mean: float | None
    half_width: float | None
    label_precision: float | None = number(
        title="label precision", source="label_precision", doc="clean among selected, mean over the seeds"
    )
    difference: float | None
    """Mean paired difference searched - this row, same seeds; None for the searched row itself."""
    difference_half_width: float | None
    validation_accuracy: tuple[float, ...] = param(
        (), doc="of each seed, where the report is measured by it; test_accuracy is empty then"
    )
    detectable: float | None = param(
        None, doc="true difference that as many seeds, as spread as these, declare in four comparisons of five"
    )
    n_failed: int = 0
    train: dict[str, Any] = param(dict, doc="searched training settings that go with the schedule")
    last_ten: float | None = number(
        None,
        title="last ten epochs",
        source="final.mean.last_ten",
        doc="test accuracy of the final ten epochs, mean over the seeds; mean averages the epochs of the objective",
    )
    best: float | None = number(
        None,
        title="best of all epochs",
        source="final.mean.best",
        doc="of the best epoch of each seed, chosen on the test set: it flatters",
    )
    at_best_validation: float | None = number(
        None,
        title="at best validation",
        source="final.mean.at_best_validation",
        doc="at the first epoch with the best validation accuracy, mean over the seeds",
    )

    @property
    def of_seeds(self) -> tuple[float, ...]:
        """The accuracies that are compared."""
        return self.test_accuracy or self.validation_accuracy


@dataclass(frozen=True)
class Report:
    """The end of a search: the recommended schedule, the best run, the comparison and what it supports, in words.

    ``recommended`` and ``best_run`` are (round, k): a schedule, and a single training.
    """

    recommended: tuple[int, int] | None
    """Of the lowest posterior means the best on fresh seeds."""
    best_run: tuple[int, int] | None
    """The best single training seen by validation: a model, not a schedule."""
    best_run_validation_accuracy: float | None
    best_run_model: str | None
    recommended_model: str | None
    """Model file of the first fresh-seed re-training of the recommended schedule."""
    keep_rate: tuple[float, ...]
    rows: tuple[ReportRow, ...]
    verdict: str
    train: dict[str, Any] = param(dict, doc="searched training settings of the recommended schedule")
    basis: str = ""
    """The evidence behind the numbers, in words: the budgets of both sides, and how seeds were spent."""
    measured: str = param(
        "test_accuracy",
        choices=("test_accuracy", "validation_accuracy"),
        doc="what mean and difference are of: validation accuracy where no re-training has a test accuracy",
    )
    accuracy: str = "test accuracy"
    """The name of the accuracies of the rows: against true labels, or against given ones."""
    kind: Literal["search"] = "search"


@dataclass(frozen=True)
class Compared:
    """One figure of an entry over the seeds, and its paired difference to the baseline. Intervals are 95 %."""

    values: tuple[float | None, ...]
    """By seed; None where the training failed or has no such figure."""
    mean: float | None
    half_width: float | None
    difference: float | None
    """Mean of this entry - baseline over the seeds that both finished; None for the baseline itself."""
    difference_half_width: float | None


@dataclass(frozen=True)
class CompareRow:
    """One entry. ``validation`` is the objective's; the three kinds of test accuracy are never compared with another.

    Figures are means over the networks of a trial; ``ensemble_...`` are of the networks' summed logits.
    """

    label: str
    method: str
    params: dict[str, Any] = param(dict, doc="hyperparameters, complete")
    train: dict[str, Any] = param(dict, doc="other training settings of its own")
    schedule: str = ""
    uses_schedule: bool = True
    keep_rate: tuple[float, ...] = ()
    n_failed: int = 0
    model: str | None = None
    """Model file of its first seed that was trained to the end."""
    members: dict[str, int] = param(dict, doc="of a mean of models: in how many trainings each is a member")
    validation: Compared | None = number(
        None, title="validation", source="validation_accuracy", doc="mean over the epochs of the objective"
    )
    last_ten: Compared | None = number(
        None, title="last ten epochs", source="final.mean.last_ten", doc="test accuracy of the final ten epochs"
    )
    best: Compared | None = number(
        None,
        title="best of all epochs",
        source="final.mean.best",
        doc="test accuracy of the best epoch, chosen on the test set: it flatters",
    )
    at_best_validation: Compared | None = number(
        None,
        title="at best validation",
        source="final.mean.at_best_validation",
        doc="test accuracy at the first epoch with the best validation accuracy",
    )
    ensemble_last_ten: Compared | None = number(
        None, title="ensemble, last ten", source="final.ensemble.last_ten", doc="last_ten of the ensemble"
    )
    ensemble_best: Compared | None = number(
        None, title="ensemble, best", source="final.ensemble.best", doc="best of the ensemble"
    )
    ensemble_at_best_validation: Compared | None = number(
        None,
        title="ensemble, at best validation",
        source="final.ensemble.at_best_validation",
        doc="at_best_validation of the ensemble",
    )
    balanced: Compared | None = number(
        None,
        title="balanced accuracy",
        source="final.balanced",
        doc="mean over the classes of test accuracy, after the last epoch",
    )
    label_precision: Compared | None = number(
        None, title="label precision", source="label_precision", doc="clean among selected"
    )
    wrong_memorised: Compared | None = number(
        None,
        title="wrong labels memorised",
        source="final.wrong_memorised",
        doc="of the wrong labels, those predicted over the final ten epochs",
    )


@dataclass(frozen=True)
class CompareReport:
    """The end of a comparison; ``verdict`` states the claim that all paired differences support together."""

    rows: tuple[CompareRow, ...]
    verdict: str
    baseline: str
    n_seeds: int
    accuracy: str = "test accuracy"
    """As in Report."""
    basis: str = ""
    """The evidence behind the verdict, in words: how a winner was chosen, what the differences are of."""
    kind: Literal["compare"] = "compare"
