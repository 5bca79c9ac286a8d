"""Settings that contradict each other are refused by name."""

from __future__ import annotations

import pytest

from s2e.door import parse_job
from s2e.door.overrides import overridden
from s2e.door.train import train_problems
from s2e.words import JobSpec, SpecError, TrainSpec, to_json

SGD = {"optimizer": "sgd"}
MULTISTEP = {"lr_schedule": "multistep"}
STAGES = {"lr_schedule": "stages"}
COSINE = {"lr_schedule": "cosine_restarts"}


@pytest.mark.parametrize(
    "train",
    [
        {},
        SGD | {"momentum": 0.0, "weight_decay": 1e-3},
        {"beta1_decay": 0.1, "beta2": 0.1, "lr_schedule": "constant", "decay_start": 0.7},
        MULTISTEP | {"lr_milestones": [1, 39], "lr_factor": 0.01},
        STAGES | {"lr_milestones": [1, 39], "lr_values": [0.2, 0.02]},
        COSINE | {"lr_period": 4, "lr_minimum": 1e-4},
    ],
)
def test_settings_that_are_used_are_accepted_and_survive_the_way_through_json(train):
    spec = parse_job({"train": train})
    assert parse_job(to_json(spec)) == spec


@pytest.mark.parametrize(
    ("train", "field", "value", "allowed"),
    [
        ({"momentum": 0.5}, "momentum", 0.5, "0.9, its default: only optimizer sgd has it"),
        (SGD | {"beta1": 0.5}, "beta1", 0.5, "only optimizer adam"),
        (SGD | {"beta1_decay": 0.1}, "beta1_decay", 0.1, "only optimizer adam"),
        (SGD | {"beta2": 0.9}, "beta2", 0.9, "only optimizer adam"),
        ({"lr_schedule": "constant", "decay_start": 0.5}, "decay_start", 0.5, "only lr_schedule linear"),
        ({"lr_milestones": [3]}, "lr_milestones", [3], "only lr_schedule multistep and stages"),
        ({"lr_factor": 0.5}, "lr_factor", 0.5, "only lr_schedule multistep"),
        (MULTISTEP | {"lr_milestones": [3], "lr_period": 3}, "lr_period", 3, "only lr_schedule cosine_restarts"),
        ({"lr_minimum": 1e-5}, "lr_minimum", 1e-5, "only lr_schedule cosine_restarts"),
        (MULTISTEP, "lr_milestones", [], "at least one"),
        (MULTISTEP | {"lr_milestones": [5, 5]}, "lr_milestones", [5, 5], "rising epochs"),
        (MULTISTEP | {"lr_milestones": [5, 40]}, "lr_milestones", [5, 40], "epochs < 40"),
        (STAGES, "lr_milestones", [], "at least one, for stages"),
        (STAGES | {"lr_milestones": [5, 9], "lr_values": [0.1]}, "lr_values", [0.1], "2 step sizes, one for each"),
        (MULTISTEP | {"lr_milestones": [5], "lr_values": [0.1]}, "lr_values", [0.1], "only lr_schedule stages"),
        (COSINE | {"lr_minimum": 0.5}, "lr_minimum", 0.5, "<= 0.001"),
    ],
)
def test_a_contradiction_is_refused_by_name(train, field, value, allowed):
    with pytest.raises(SpecError) as refused:
        parse_job({"train": train})
    (problem,) = refused.value.problems
    assert (problem.field, problem.value) == (f"train.{field}", value)
    assert allowed in problem.allowed


def test_a_trials_own_settings_are_held_against_the_jobs():
    with pytest.raises(SpecError, match=r"train\.beta1_decay = 0\.1: None, its default"):
        overridden(JobSpec(train=TrainSpec(beta1_decay=0.1, decay_start=0.4)), {"optimizer": "sgd"})


def test_every_problem_is_named_at_once():
    train = TrainSpec(optimizer="sgd", beta1=0.5, beta2=0.5, lr_schedule="constant", lr_period=3)
    assert [p.field for p in train_problems(train)] == ["train.beta1", "train.beta2", "train.lr_period"]


def test_normalisation_needs_published_numbers():
    with pytest.raises(SpecError, match=r"data\.normalise = 'channels': none for digits"):
        parse_job({"data": {"normalise": "channels"}})
    assert parse_job({"data": {"name": "cifar10", "normalise": "channels"}, "train": {"network": "model1"}})
