"""Optuna's own suite for samplers: its basic and relative cases, and those of samplers for one objective.

Not run: its cases for several objectives, which the sampler refuses (``SingleOnlySamplerTestCase`` holds it to that).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler, PartialFixedSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase
from optuna.trial import TrialState

from s2e.ecosystem.optuna import S2ESampler, suggest_schedule

T = 10


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


class TestOptunasOwn(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: S2ESampler(T, searcher="random")


def mean(trial: optuna.Trial) -> float:
    return sum(suggest_schedule(trial, T)) / T


def test_some_coordinates_may_be_fixed() -> None:
    study = optuna.create_study(sampler=S2ESampler(T, searcher="cem", n_trials=3))
    study.optimize(mean, n_trials=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = PartialFixedSampler({"s2e.1": 0.25}, study.sampler)
    study.optimize(mean, n_trials=4)
    assert [trial.params["s2e.1"] for trial in study.trials[3:]] == [0.25] * 4
    assert len({trial.params["s2e.0"] for trial in study.trials}) == 7


def test_a_trial_that_never_ends_and_one_without_a_schedule_hold_up_nobody() -> None:
    study = optuna.create_study(sampler=S2ESampler(T, searcher="cem", n_trials=3, seed=1))
    lost = study.ask()
    suggest_schedule(lost, T)
    study.tell(study.ask(), state=TrialState.FAIL)  # before it asked for its schedule
    study.optimize(mean, n_trials=30)
    values = [trial.value for trial in study.trials if trial.value is not None]
    assert sum(values[-6:]) < sum(values[:6])


def test_results_that_come_in_another_order_are_told_in_the_order_of_their_ends() -> None:
    """Two processes on one study: what ended first was seen last."""

    def told(order: tuple[int, ...]) -> Any:
        study = optuna.create_study(sampler=S2ESampler(T, searcher="cem", n_trials=2, seed=1))
        trials = [study.ask() for _ in range(3)]
        values = [mean(trial) for trial in trials]
        for number in order:
            study.tell(trials[number], values[number])
        return study

    study = told((2, 0, 1))
    late = study.ask()
    point = late.suggest_float("s2e.0", 0, 1)
    resumed = optuna.create_study(sampler=S2ESampler(T, searcher="cem", n_trials=2, seed=1))
    for trial in study.get_trials(deepcopy=True, states=(TrialState.COMPLETE,)):
        resumed.add_trial(trial)
    assert resumed.ask().suggest_float("s2e.0", 0, 1) == point
