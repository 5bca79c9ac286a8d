"""Plain JSON <-> dataclasses: exact round trips, and refusals that name field, value and what is allowed."""

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2e.door import parse_job
from s2e.parts import DATASETS, SEARCHERS
from s2e.words import (
    JobSpec,
    Observation,
    Point,
    SearchState,
    SpecError,
    TrialResult,
    TrialSpec,
    json_schema,
    param,
    parse,
    read,
    replace,
    to_json,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
unit = st.floats(0, 1, exclude_max=True)
seed = st.integers(0, 2**63 - 1)
optional = st.one_of(st.none(), finite)
jobs = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=120),
        "seed": seed,
        "data": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(
                    sorted(n for n, part in DATASETS.items() if part.labels != "given")
                ),  # others need a file
                "noise": st.fixed_dictionaries({"noise_rate": unit}),
                "n_train": st.one_of(st.none(), st.integers(128, 900)),
                "split_seed": seed,
            },
        ),
        "train": st.fixed_dictionaries({"n_epochs": st.integers(1, 10_000), "beta1_decay": st.one_of(st.none(), unit)}),
        "search": st.fixed_dictionaries({"n_rounds": st.integers(1, 10_000), "n_trials": st.integers(2, 1000)}),
        "report": st.fixed_dictionaries(
            {"taus": st.one_of(st.none(), st.lists(unit, max_size=20)), "tau": st.one_of(st.none(), unit)}
        ),
    },
)


def problems(data: Any, read: Any = parse_job) -> dict[str, tuple[Any, str]]:
    with pytest.raises(SpecError) as caught:
        read(data)
    return {problem.field: (problem.value, problem.allowed) for problem in caught.value.problems}


def through_text(value: Any) -> Any:
    return read(type(value), json.loads(json.dumps(to_json(value), allow_nan=False)))


@given(data=jobs)
def test_a_job_survives_the_way_through_text(data: dict[str, Any]) -> None:
    spec = parse_job(data)
    assert through_text(spec) == parse(JobSpec, json.loads(json.dumps(to_json(spec)))) == spec
    assert hash(through_text(spec)) == hash(spec)


@given(theta=st.lists(finite, max_size=40), round_=st.integers(0, 10**6), memory=st.dictionaries(st.text(), finite))
def test_a_search_state_survives_bit_for_bit(theta: list[float], round_: int, memory: dict[str, float]) -> None:
    state = SearchState(round_, tuple(theta), memory)
    back = through_text(state)
    assert back == state
    assert [math.copysign(1, value) for value in back.theta] == [math.copysign(1, value) for value in theta]


@given(values=st.lists(finite, min_size=1, max_size=20), numbers=st.tuples(optional, optional), k=st.integers(0, 999))
def test_trials_and_results_survive(values: list[float], numbers: tuple[float | None, float | None], k: int) -> None:
    point = Point(tuple(values))
    for value in (
        TrialSpec(1, k, "search", 0, tuple(values), 1, 2**63 - 1, 3, point),
        TrialSpec(1, k, "all", 2, tuple(values), 1, 2, 3, None),
        TrialResult(1, k, objective=numbers[0], test_accuracy=numbers[1], model="a/b.safetensors"),
        TrialResult(1, k, failed=True, reason="loss is NaN"),
        Observation(k, point, values[0], failed=True),
    ):
        assert through_text(value) == value


def test_an_empty_job_is_the_documented_default() -> None:
    spec = parse_job({})
    unset = {"train": replace(spec.train, params={}), "search": replace(spec.search, params={})}
    unset |= {"plan": replace(spec.plan, step="auto"), "report": replace(spec.report, trusted=None)}
    # parse_job writes the parameters out, the step that trains, and the comparison that is made
    assert replace(spec, **unset) == JobSpec()


@pytest.mark.parametrize(
    ("data", "field", "refused", "allowed"),
    [
        ({"train": {"method": "magic"}}, "train.method", "magic", "one of anchored, backward, "),
        (
            {"train": {"network": "vgg"}},
            "train.network",
            "vgg",
            "mlp_tabular, model1, model2, preact_resnet18, resnet34, sigua_deep, sigua_wide, or torchvision:",
        ),
        (
            {"data": {"name": "stl10"}},
            "data.name",
            "stl10",
            "one of arrays, cifar10, cifar100, csv, digits, embeddings, fashion_mnist",
        ),
        ({"search": {"searcher": "best"}}, "search.searcher", "best", "one of asha, asng, cem, cmaes, cubic_newton"),
        ({"search": {"space": "none"}}, "search.space", "none", "one of coteaching, fixed"),
        ({"data": {"noise": {"noise_rate": 1.0}}}, "data.noise.noise_rate", 1.0, "< 1"),
        ({"data": {"noise": {"noise_rate": -0.1}}}, "data.noise.noise_rate", -0.1, ">= 0"),
        ({"train": {"n_epochs": 0}}, "train.n_epochs", 0, ">= 1 and <= 10000"),
        ({"train": {"n_epochs": 10_001}}, "train.n_epochs", 10001, "<= 10000"),
        ({"train": {"learning_rate": 0}}, "train.learning_rate", 0, "> 0"),
        ({"seed": -1}, "seed", -1, ">= 0"),
        ({"seed": 2**63}, "seed", hex(2**63), "< 9223372036854775808"),
        ({"name": "x" * 121}, "name", "x" * 77 + "...", "at most 120 characters"),
        ({"data": []}, "data", "[]", "must be an object"),
        ({"data": {"noise": 3}}, "data.noise", 3, "must be an object"),
        ({"report": {"taus": 0.5}}, "report.taus", 0.5, "must be a list of at most 100"),
        ({"report": {"taus": [0.1, 1.0]}}, "report.taus[1]", 1.0, "< 1"),
        ({"search": {"searcher": "newton", "n_trials": 1}}, "search.n_trials", 1, ">= 2 for searcher newton"),
        (
            {"data": {"noise": {"kind": "pair", "noise_rate": 0.5}}},
            "data.noise.noise_rate",
            0.5,
            "< 0.5 for pair noise",
        ),
    ],
)
def test_a_refusal_names_field_value_and_what_is_allowed(
    data: dict[str, Any], field: str, refused: Any, allowed: str
) -> None:
    refusals = problems(data)
    assert list(refusals) == [field]
    assert allowed in refusals[field][1]
    assert refused == refusals[field][0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 10**400, -(10**400), "0.5", None, [], {}])
@pytest.mark.parametrize("field", ["seed", "train.learning_rate"])
def test_what_is_no_number_is_refused_and_the_refusal_is_json(field: str, value: Any) -> None:
    section, _, leaf = field.partition(".")
    refusals = problems({section: {leaf: value}} if leaf else {section: value})
    assert list(refusals) == [field]
    json.dumps(refusals, allow_nan=False)


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize(("section", "leaf"), [("train", "n_epochs"), ("train", "learning_rate"), ("data", "n_train")])
def test_a_bool_is_no_number(section: str, leaf: str, value: bool) -> None:
    assert problems({section: {leaf: value}}) == {f"{section}.{leaf}": (value, problems_allowed(section, leaf))}


def problems_allowed(section: str, leaf: str) -> str:
    return problems({section: {leaf: "text"}})[f"{section}.{leaf}"][1]


@pytest.mark.parametrize("value", [5, 5.0])
def test_whole_floats_are_whole_numbers(value: float) -> None:
    n_epochs = parse_job({"train": {"n_epochs": value}}).train.n_epochs
    assert n_epochs == 5
    assert isinstance(n_epochs, int)
    assert "whole number" in problems({"train": {"n_epochs": 5.5}})["train.n_epochs"][1]


def test_unknown_fields_are_refused_at_every_level() -> None:
    refusals = problems({"speed": 9, "data": {"noise": {"rate": 0.5}}, "x" * 1000: 1})
    assert set(refusals) == {"speed", "data.noise.rate", "x" * 200}
    assert "known: kind, noise_rate" in refusals["data.noise.rate"][1]


def test_all_problems_are_found_at_once() -> None:
    refusals = problems({"seed": "a", "train": {"n_epochs": 0, "batch_size": 0}, "report": {"n_seeds": 1}})
    assert set(refusals) == {"seed", "train.n_epochs", "train.batch_size", "report.n_seeds"}


def test_huge_input_is_refused_in_few_words() -> None:
    refusals = problems({"report": {"taus": [0.5] * 100_000}, "name": "n" * 10**6, "data": "d" * 10**6})
    assert set(refusals) == {"report.taus", "name", "data"}
    assert all(len(str(value)) <= 80 for value, _ in refusals.values())


def test_a_reason_of_many_words_survives() -> None:
    result = TrialResult(1, 2, failed=True, reason="loss is NaN at epoch 3; " * 100)
    assert through_text(result) == result


def test_lists_without_a_limit_of_their_own_have_one() -> None:
    refusals = problems({"values": [0.5] * 10_001}, read=lambda data: parse(Point, data))
    assert "at most 10000 items" in refusals["values"][1]


@pytest.mark.parametrize("body", [None, [], "job", 3, True])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    assert problems(body) == {
        "JobSpec": (body if body is None or isinstance(body, int | str) else "[]", "must be an object")
    }


def test_required_fields_are_required() -> None:
    assert problems({"round": 1}, read=lambda data: parse(SearchState, data)) == {
        "theta": (None, "required"),
        "memory": (None, "required"),
    }


def test_the_message_reads_as_one_line() -> None:
    with pytest.raises(
        SpecError, match=r"^seed = -1: a whole number, .*; train\.n_epochs = 0: a whole number, >= 1 and <= 10000$"
    ):
        parse_job({"train": {"n_epochs": 0}, "seed": -1})


def test_the_schema_publishes_the_same_rules() -> None:
    schema = json_schema(JobSpec)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["train"]["properties"]["n_epochs"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 10_000,
        "default": 40,
        "description": "epochs T of one trial; R(t) has one value for each",
    }
    assert schema["properties"]["search"]["properties"]["searcher"]["enum"] == list(SEARCHERS)
    assert {"type": "null"} in schema["properties"]["data"]["properties"]["n_train"]["anyOf"]
    assert json_schema(Point)["required"] == ["values"]
    json.dumps(schema, allow_nan=False)


def test_a_rule_with_a_wrong_name_is_a_mistake_in_the_code() -> None:
    with pytest.raises(TypeError, match="minimum"):
        param(1, doc="", minimum=0)


def test_specs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        JobSpec().seed = 1  # type: ignore[misc]
