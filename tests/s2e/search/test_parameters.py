"""Searched training parameters: values and features by hand, distributions against torch, refusals by name."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Beta, Dirichlet, kl_divergence

from s2e.door import parse_job
from s2e.jobs.trials import make_space
from s2e.search.parameters import Parameter, as_overrides, features_of, parse_parameters
from s2e.search.space import S2E, Space
from s2e.words import JobSpec, Problem, SpecError

MIXED: dict[str, Any] = {
    "train.batch_size": {"kind": "integer", "low": 32, "high": 35},
    "train.beta1": {"kind": "linear", "low": 0.5, "high": 0.9},
    "train.decay_start": {"kind": "choice", "values": [0.2, 0.4, 0.8]},
    "train.learning_rate": {"kind": "log", "low": 1e-4, "high": 1e-2},
    "weights": {"kind": "simplex", "fields": ["train.params.alpha", "train.params.beta"], "total": 2.0},
}
"""One of each kind, in the order of the names."""


def job(parameters: dict[str, Any] = MIXED, **more: Any) -> JobSpec:
    search = {"searcher": "random", "parameters": parameters, **more}
    return parse_job({"train": {"method": "sce", "n_epochs": 12}, "search": search})


def problems(parameters: Any, **more: Any) -> list[Problem]:
    with pytest.raises(SpecError) as error:
        job(parameters, **more)
    return list(error.value.problems)


@pytest.fixture
def space() -> Space:
    return make_space(job())


@pytest.fixture
def only() -> dict[str, Parameter]:
    return parse_parameters(MIXED)


def test_blocks_follow_those_of_the_schedule_by_name(space: Space) -> None:
    assert [block.name for block in space.blocks[17:]] == list(MIXED)
    assert (space.n_theta, space.n_x) == (36 + 2 + 2 + 3 + 2 + 2, 20 + 1 + 1 + 3 + 1 + 2)
    shuffled = make_space(job(dict(reversed(MIXED.items()))))
    assert shuffled.blocks == space.blocks  # JSON objects have no order, theta has


def test_values_by_hand(space: Space) -> None:
    """Batch sizes 32..35 in bins of 1/4; 0.5 + 0.25 * 0.4; the largest of three weights; 1e-4 * 100^0.5."""
    schedule = S2E.sample(np.ones(36), np.random.default_rng(0), 1)[0]
    x = np.concatenate([schedule, [0.74], [0.25], [0.2, 0.5, 0.3], [0.5], [0.3, 0.7]])
    overrides = space.overrides(space.point(x))
    assert overrides["batch_size"] == 34
    assert type(overrides["batch_size"]) is int
    assert overrides["beta1"] == pytest.approx(0.6)
    assert overrides["decay_start"] == 0.4
    assert overrides["learning_rate"] == pytest.approx(1e-3)
    assert overrides["params"] == pytest.approx({"alpha": 0.6, "beta": 1.4})
    np.testing.assert_array_equal(space.schedule(space.point(x), 12), S2E.schedule(S2E.point(schedule), 12))


def test_features_are_segment_means_then_values_of_unit_length(space: Space) -> None:
    schedule = S2E.sample(np.ones(36), np.random.default_rng(0), 1)[0]
    x = np.concatenate([schedule, [0.74], [0.25], [0.2, 0.5, 0.3], [0.5], [0.3, 0.7]])[None]
    features = space.features(x, 12)
    np.testing.assert_array_equal(features[:, :-8], S2E.features(schedule[None], 12))
    np.testing.assert_allclose(features[0, -8:], [2 / 3, 0.25, 0, 1 / 2**0.5, 0, 0.5, 0.3, 0.7])


def test_features_of_a_trial_s_settings_are_those_of_its_point(space: Space, only: dict[str, Parameter]) -> None:
    """But for linear and logarithmic ones, whose coordinate comes back with rounding."""
    x = space.sample(space.initial_theta(), np.random.default_rng(1), 50)
    expected = space.features(x, 12)[:, -8:]
    for vector, row in zip(x, expected, strict=True):
        np.testing.assert_allclose(features_of(only, space.overrides(space.point(vector))), row, atol=1e-12)


def test_the_job_s_own_settings_have_features_even_out_of_range(only: dict[str, Parameter]) -> None:
    train = {"batch_size": 128, "beta1": 0.9, "decay_start": 0.5, "learning_rate": 1e-9}
    features = features_of(only, train | {"params": {"alpha": 0.1, "beta": 1.0}})
    assert features == pytest.approx([32.0, 1.0, 0, 0, 0, -2.5, 0.05, 0.5])


def test_uniform_theta_is_uniform_over_bins_values_and_the_logarithm(space: Space) -> None:
    """4000 draws: a share of 1/4 has a standard error of 0.007, a mean of u one of 0.0046."""
    x = space.sample(space.initial_theta(), np.random.default_rng(2), 4000)
    drawn = [space.overrides(space.point(vector)) for vector in x]
    assert np.bincount([one["batch_size"] - 32 for one in drawn]) / 4000 == pytest.approx([0.25] * 4, abs=0.03)
    shares = [sum(one["decay_start"] == value for one in drawn) / 4000 for value in (0.2, 0.4, 0.8)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.03)
    assert np.mean(np.log10([one["learning_rate"] for one in drawn])) == pytest.approx(-3, abs=0.04)
    assert [sum(one["params"].values()) for one in drawn] == pytest.approx([2.0] * 4000)


def test_the_density_is_that_of_torch_s_blocks(space: Space) -> None:
    rng = np.random.default_rng(3)
    theta, other = (rng.uniform(1, 9, space.n_theta) for _ in range(2))
    x = space.sample(theta, rng, 4)
    theta_t, other_t, x_t = (torch.tensor(value, dtype=torch.float64) for value in (theta, other, x))
    log_prob, divergence, i, j = torch.zeros(4, dtype=torch.float64), 0.0, 0, 0
    for block in space.blocks:
        p, q = ((Dirichlet if block.n_x > 1 else Beta) for _ in range(2))
        here, there = theta_t[i : i + block.n_theta], other_t[i : i + block.n_theta]
        p, q = (p(here), q(there)) if block.n_x > 1 else (p(*here), q(*there))
        part = x_t[:, j : j + block.n_x]
        log_prob += p.log_prob(part if block.n_x > 1 else part[:, 0])
        divergence += float(kl_divergence(p, q))
        i, j = i + block.n_theta, j + block.n_x
    np.testing.assert_allclose(space.log_prob(theta, x), log_prob.numpy(), rtol=1e-9)
    assert space.kl(theta, other) == pytest.approx(divergence, rel=1e-9)


number = st.floats(-1e3, 1e3, allow_nan=False)


@given(low=number, width=st.floats(1e-3, 1e3), u=st.floats(0, 1))
def test_values_stay_within_their_bounds(low: float, width: float, u: float) -> None:
    high, x = low + width, np.array([u])
    bounds = {"low": low, "high": high}
    whole = {"low": int(low), "high": int(low) + int(width) + 1}
    positive = {"low": abs(low) + 1e-3, "high": abs(low) + 1e-3 + width}
    for kind, entry in (("linear", bounds), ("integer", whole), ("log", positive)):
        [parameter] = parse_parameters({"train.beta1": {"kind": kind, **entry}}).values()
        [value] = parameter.at(x)
        assert entry["low"] <= value <= entry["high"]


def test_the_space_fixed_has_the_default_schedule_and_parameters_only() -> None:
    space = make_space(job(space="fixed"))
    assert [block.name for block in space.blocks] == list(MIXED)
    x = space.sample(space.initial_theta(), np.random.default_rng(0), 3)
    expected = [1 - 0.5 * min(t / 10, 1) for t in range(12)]
    np.testing.assert_allclose(space.curves(x, 12), [expected] * 3)


def test_overrides_nest_the_method_s_parameters() -> None:
    values = {"train.learning_rate": 0.1, "train.params.q": 0.5, "train.params.k": 2}
    assert as_overrides(values) == {"learning_rate": 0.1, "params": {"q": 0.5, "k": 2}}


LR = "train.learning_rate"


@pytest.mark.parametrize(
    ("entry", "field", "value", "allowed"),
    [
        (3, LR, "3", "an object with a kind: linear, log"),
        ({}, f"{LR}.kind", None, "one of linear, log, integer, choice, simplex"),
        ({"kind": "normal"}, f"{LR}.kind", "'normal'", "one of linear"),
        ({"kind": ["log"]}, f"{LR}.kind", "['log']", "one of linear"),
        ({"kind": "linear", "low": 0.1}, f"{LR}.high", None, "required"),
        ({"kind": "linear", "low": 0.1, "high": 0.2, "step": 1}, f"{LR}.step", 1, "unknown field; known: low, high"),
        ({"kind": "linear", "low": "a", "high": 1}, f"{LR}.low", "a", "a finite number"),
        ({"kind": "linear", "low": 0.1, "high": 0.1}, f"{LR}.high", 0.1, "> 0.1, the lower bound"),
        ({"kind": "linear", "low": 0.2, "high": 0.1}, f"{LR}.high", 0.1, "> 0.2, the lower bound"),
        ({"kind": "log", "low": 0, "high": 1}, f"{LR}.low", 0.0, "> 0 on a logarithmic scale"),
        ({"kind": "log", "low": -1, "high": 1}, f"{LR}.low", -1.0, "> 0 on a logarithmic scale"),
        ({"kind": "log", "low": 1, "high": 1}, f"{LR}.high", 1.0, "> 1.0, the lower bound"),
        ({"kind": "integer", "low": 1.5, "high": 3}, f"{LR}.low", 1.5, "a whole number"),
        ({"kind": "integer", "low": 3, "high": 3}, f"{LR}.high", 3, "> 3, the lower bound"),
        ({"kind": "choice", "values": [0.1]}, f"{LR}.values", "(0.1,)", "at least two values, each of them once"),
        ({"kind": "choice", "values": [0.1, 0.1]}, f"{LR}.values", "(0.1, 0.1)", "each of them once"),
        ({"kind": "choice", "values": []}, f"{LR}.values", "()", "at least two"),
        ({"kind": "choice", "values": [0.1, [1]]}, f"{LR}.values", "[1]", "texts, numbers or truth values"),
        ({"kind": "choice", "values": [0.1, None]}, f"{LR}.values", "None", "texts, numbers or truth values"),
        ({"kind": "choice", "values": 0.1}, f"{LR}.values", 0.1, "must be a list"),
        ({"kind": "linear", "low": 0.1, "high": 11}, LR, 11.0, "train.learning_rate: a finite number, > 0 and <= 10"),
        ({"kind": "linear", "low": 0, "high": 1}, LR, 0.0, "train.learning_rate: a finite number, > 0"),
        ({"kind": "choice", "values": [0.1, "fast"]}, LR, "fast", "train.learning_rate: a finite number"),
    ],
)
def test_a_parameter_that_cannot_be_searched_is_refused(entry: Any, field: str, value: Any, allowed: str) -> None:
    [problem] = problems({LR: entry})
    assert (problem.field, problem.value) == (f"search.parameters.{field}", value)
    assert allowed in problem.allowed


@pytest.mark.parametrize(
    "field", ["learning_rate", "data.n_train", "train.method", "train.params", "train.n_epochs", "train.network", ""]
)
def test_a_field_that_all_trials_share_is_refused(field: str) -> None:
    [problem] = problems({field: {"kind": "linear", "low": 0.1, "high": 0.2}})
    assert (problem.field, problem.value) == (f"search.parameters.{field}", field)
    assert "a field of train such as train.learning_rate" in problem.allowed


@pytest.mark.parametrize(("field", "known"), [("train.patience", "learning_rate"), ("train.params.gamma", "alpha")])
def test_a_field_nobody_knows_is_refused_with_those_there_are(field: str, known: str) -> None:
    refused = problems({field: {"kind": "linear", "low": 0.1, "high": 0.2}})
    assert {problem.field for problem in refused} == {f"search.parameters.{field}"}
    assert all(
        f"{field}: unknown field; known: " in problem.allowed and known in problem.allowed for problem in refused
    )


def test_a_batch_larger_than_the_data_is_refused() -> None:
    [problem] = problems({"train.batch_size": {"kind": "integer", "low": 32, "high": 2000}})
    assert (problem.field, problem.value) == ("search.parameters.train.batch_size", 2000)
    assert "<= 997" in problem.allowed


def test_one_field_is_not_searched_twice() -> None:
    shares = {"kind": "simplex", "fields": ["train.params.alpha", "train.params.beta"]}
    [problem] = problems({"a": shares, "train.params.beta": {"kind": "linear", "low": 0.1, "high": 0.2}})
    assert problem.field == "search.parameters.train.params.beta"
    assert "no other parameter" in problem.allowed


@pytest.mark.parametrize("fields", [[], ["train.params.alpha"], ["train.params.alpha"] * 2])
def test_a_simplex_of_less_than_two_fields_is_refused(fields: list[str]) -> None:
    [problem] = problems({"shares": {"kind": "simplex", "fields": fields}})
    assert (problem.field, problem.allowed) == (
        "search.parameters.shares.fields",
        "at least two fields, each of them once",
    )


def test_an_empty_space_is_refused() -> None:
    [problem] = problems({}, space="fixed")
    assert problem.field == "search.parameters"
    assert "at least one" in problem.allowed


def test_too_many_parameters_are_refused() -> None:
    [problem] = problems({f"train.params.{i}": {} for i in range(51)})
    assert (problem.value, problem.allowed) == (51, "at most 50 parameters")


def test_every_contradiction_is_named_at_once() -> None:
    refused = problems({LR: {"kind": "log", "low": 0, "high": 1}, "train.beta1": {"kind": "no"}})
    assert [problem.field for problem in refused] == [
        "search.parameters.train.beta1.kind",
        f"search.parameters.{LR}.low",
    ]
