"""Overrides of the training settings by one trial: merged, completed, refused by name."""

from typing import Any

import pytest

from s2e.door import parse_job
from s2e.door.overrides import overridden
from s2e.methods.declared.selection import CoTeachingPlus
from s2e.words import JobSpec, Problem, SpecError, TrainSpec, replace, to_json

SIGUA = parse_job({"train": {"method": "sigua_sl", "params": {"gamma": 0.02}}}).train


def refused(overrides: dict[str, Any], train: TrainSpec = SIGUA) -> list[Problem]:
    with pytest.raises(SpecError) as error:
        overridden(JobSpec(train=train), overrides)
    return list(error.value.problems)


def test_no_overrides_are_the_job_s_own_settings() -> None:
    assert overridden(JobSpec(train=SIGUA), {}) is SIGUA


def test_parameters_are_merged_by_name_under_the_same_method() -> None:
    train = overridden(JobSpec(train=SIGUA), {"params": {"fraction": 0.5}, "learning_rate": 0.01})
    assert train == replace(SIGUA, learning_rate=0.01, params={**SIGUA.params, "fraction": 0.5})
    assert train.params["gamma"] == 0.02


def test_another_method_starts_from_the_paper_s_values_of_the_data_set() -> None:
    train = overridden(JobSpec(train=SIGUA), {"method": "coteaching_plus"})
    assert train.method == "coteaching_plus"
    assert train.params == to_json(CoTeachingPlus(warm_up_epochs=0))  # 0 for digits, else 20


@pytest.mark.parametrize(
    ("overrides", "field", "value"),
    [
        ({"n_epochs": 41}, "train.n_epochs", 41),
        ({"method": "nosuch"}, "train.method", "nosuch"),
        ({"learning_rate": -1.0}, "train.learning_rate", -1.0),
        ({"warmth": 0.9}, "train.warmth", 0.9),
        ({"params": {"gamma": 2}}, "train.params.gamma", 2),
        ({"params": {"q": 0.5}}, "train.params.q", 0.5),
        ({"params": 3}, "train.params", 3),
        ({"method": "gce", "params": {"gamma": 0.5}}, "train.params.gamma", 0.5),
        ({"batch_size": 1298}, "train.batch_size", 1298),
        ({"method": "dividemix", "params": {"warm_up_epochs": 40}}, "train.params.warm_up_epochs", 40),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(overrides: dict[str, Any], field: str, value: Any) -> None:
    [problem] = refused(overrides)
    assert (problem.field, problem.value) == (field, value)


def test_the_job_s_number_of_epochs_may_be_repeated() -> None:
    assert overridden(JobSpec(train=SIGUA), {"n_epochs": SIGUA.n_epochs}) == SIGUA
