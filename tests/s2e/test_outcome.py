"""Final figures of a trial, each number derived by hand from a dozen epochs."""

from dataclasses import replace

import pytest

from s2e.outcome import result_of
from s2e.words import EpochMetrics, FinalAccuracy, TrialSpec

TRIAL = TrialSpec(3, 4, "search", 0, (1.0,) * 12, 0, 0, 0)
VALIDATION = (0.1, 0.2, 0.9, 0.3, 0.9, 0.3, 0.3, 0.3, 0.3, 0.3, 0.5, 0.7)
TEST = (0.99, 0.2, 0.6, 0.2, 0.7, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.3)


def rows(ensemble: float = 0.0) -> list[EpochMetrics]:
    return [
        EpochMetrics(
            4, t, 1.0, loss=1.0, kept=1.0, label_precision=0.5, label_recall=1.0,
            validation_accuracy=validation, test_accuracy=test, validation_ensemble=validation + ensemble,
            test_ensemble=test + ensemble, wrong_memorised=t / 100,
        )
        for t, (validation, test) in enumerate(zip(VALIDATION, TEST, strict=True))
    ]  # fmt: skip


def test_the_objective_is_the_mean_of_networks_validation_over_the_tail() -> None:
    """Last two epochs: validation (.5 + .7) / 2 = .6, test (.2 + .3) / 2 = .25. The ensemble plays no part."""
    result = result_of(TRIAL, rows(ensemble=0.01), 2)
    assert (result.round, result.k, result.failed) == (3, 4, False)
    assert result.objective == pytest.approx(0.4)
    assert result.validation_accuracy == pytest.approx(0.6)
    assert result.test_accuracy == pytest.approx(0.25)
    assert result.label_precision == 0.5


def test_best_last_ten_and_at_best_validation_are_three_numbers() -> None:
    """Best test .99 is epoch 0; the last ten sum to 3.0 without .99 and .2; validation is best, .9, first at 2."""
    final = result_of(TRIAL, rows(ensemble=0.01), 2).final
    assert final is not None
    assert final.mean == FinalAccuracy(
        best=0.99, last_ten=pytest.approx(0.3), at_best_validation=0.6, best_validation_epoch=2
    )
    assert final.ensemble is not None
    assert final.ensemble.best == pytest.approx(1.0)
    assert final.ensemble.last_ten == pytest.approx(0.31)
    assert final.wrong_memorised == pytest.approx(sum(range(2, 12)) / 1000)


def test_what_was_not_measured_is_none_and_a_short_training_averages_what_it_has() -> None:
    short = [replace(row, validation_ensemble=None, wrong_memorised=None) for row in rows()[:2]]
    final = result_of(TRIAL, short, 5).final
    assert final is not None
    assert final.ensemble is None
    assert final.wrong_memorised is None
    assert final.mean is not None
    assert final.mean.last_ten == pytest.approx((0.99 + 0.2) / 2)


@pytest.mark.parametrize(("epochs", "reason", "said"), [(rows(), "NaN", "NaN"), ([], "", "no epoch was trained")])
def test_a_failed_trial_has_a_reason_and_no_numbers(epochs: list[EpochMetrics], reason: str, said: str) -> None:
    result = result_of(TRIAL, epochs, 2, reason)
    assert (result.failed, result.reason) == (True, said)
    assert (result.objective, result.test_accuracy, result.final) == (None, None, None)
