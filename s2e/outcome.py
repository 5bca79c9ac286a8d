"""The outcome of a trial's epochs: the objective, and test accuracy in the three ways that papers quote it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from s2e.words import EpochMetrics, FinalAccuracies, FinalAccuracy, TrialResult, TrialSpec, numbers_of

LAST = 10
"""Epochs of a "last ten" figure (SIGUA Tables 1-3, Co-teaching); fewer where the training was shorter."""


def result_of(trial: TrialSpec, epochs: Sequence[EpochMetrics], tail_epochs: int, reason: str = "") -> TrialResult:
    """The end of ``trial``: means over its last ``tail_epochs``; with a ``reason`` it has failed and has no numbers."""
    if reason or not epochs:
        return TrialResult(trial.round, trial.k, failed=True, reason=reason or "no epoch was trained")
    tail = epochs[-tail_epochs:]
    numbers: dict[str, Any] = {
        number.name: _mean(tail, number.name) for number in numbers_of(TrialResult) if number.over == "tail"
    }
    validation_accuracy = numbers["validation_accuracy"]
    assert validation_accuracy is not None
    return TrialResult(
        trial.round,
        trial.k,
        objective=1 - validation_accuracy,
        **numbers,
        final=FinalAccuracies(
            mean=_final([(row.validation_accuracy, row.test_accuracy) for row in epochs]),
            ensemble=_final([(row.validation_ensemble, row.test_ensemble) for row in epochs]),
            wrong_memorised=_mean(epochs[-LAST:], "wrong_memorised"),
        ),
    )


def _final(rows: Sequence[tuple[float | None, float | None]]) -> FinalAccuracy | None:
    """Figures of one kind from (validation, test) of each epoch; None where an epoch was not measured."""
    known = [(validation, test) for validation, test in rows if validation is not None and test is not None]
    if len(known) < len(rows):
        return None
    validation, test = zip(*known, strict=True)
    chosen = validation.index(max(validation))
    return FinalAccuracy(
        best=max(test),
        last_ten=fmean(test[-LAST:]),
        at_best_validation=test[chosen],
        best_validation_epoch=chosen,
    )


def _mean(rows: Sequence[EpochMetrics], name: str) -> float | None:
    """Of the epochs that measured it."""
    known = [value for row in rows if (value := getattr(row, name)) is not None]
    return fmean(known) if known else None
