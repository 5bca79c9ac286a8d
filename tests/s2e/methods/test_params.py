"""Hyperparameters at the door: typed, named in refusals, filled from the paper, and without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from s2e.door import parse_job
from s2e.parts import DATASETS, METHODS, MethodPart, method
from s2e.words import JobSpec, SpecError, json_schema, param, to_json


@pytest.fixture
def example() -> Iterator[None]:
    @method("example", rule="s2e.methods.plain:Standard", per_dataset={"mnist": {"q": 0.25}})
    class Example(MethodPart):
        """A method of these tests."""

        q: float = param(0.7, gt=0, le=1, doc="an exponent")
        kind: str = param("soft", choices=("soft", "hard"), doc="which one")

    yield
    METHODS.discard("example")


def job(dataset: str = "digits", **given: object) -> dict[str, object]:
    return {"data": {"name": dataset}, "train": {"method": "example", "params": given}}


@pytest.mark.usefixtures("example")
def test_a_job_comes_back_with_every_parameter():
    assert parse_job(job(q=1)).train.params == {"q": 1.0, "kind": "soft"}
    assert parse_job(job("mnist")).train.params == {"q": 0.25, "kind": "soft"}
    assert parse_job(job("mnist", q=0.5)).train.params == {"q": 0.5, "kind": "soft"}
    once = parse_job(job("mnist"))
    assert parse_job(to_json(once)) == once


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("q", 0, "a finite number, > 0 and <= 1"),
        ("q", "0.5", "a finite number, > 0 and <= 1"),
        ("q", float("nan"), "a finite number, > 0 and <= 1"),
        ("kind", "medium", "one of soft, hard"),
        ("p", 1, "unknown field; known: q, kind"),
    ],
)
def test_a_refusal_names_the_parameter(name, value, allowed):
    with pytest.raises(SpecError) as refused:
        parse_job(job(**{name: value}))
    (problem,) = refused.value.problems
    assert (problem.field, problem.allowed) == (f"train.params.{name}", allowed)


def test_a_method_without_parameters_takes_none():
    with pytest.raises(SpecError, match=r"train\.params\.q = 1: unknown field; known: none"):
        parse_job({"train": {"method": "standard", "params": {"q": 1}}})


def test_a_refused_parameter_stands_beside_the_other_problems():
    with pytest.raises(SpecError) as refused:
        parse_job({"train": {"params": {"q": 1}, "batch_size": 5000}})
    assert {problem.field for problem in refused.value.problems} == {"train.params.q", "train.batch_size"}


def test_params_must_be_an_object():
    with pytest.raises(SpecError, match=r"train\.params = '\[\]': must be an object"):
        parse_job({"train": {"params": []}})
    with pytest.raises(SpecError, match=r"train\.params = '3': must be an object"):
        METHODS["standard"].of(3)


def test_jobs_with_parameters_can_be_keys():
    spec = parse_job({})
    assert hash(JobSpec(plan=spec.plan, report=spec.report)) == hash(spec)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_documents_its_parameters_and_has_defaults_in_range(method):
    schema = json_schema(METHODS[method])
    assert all(field["description"] for field in schema["properties"].values())
    for dataset in DATASETS:
        METHODS[method].of({}, dataset=dataset)
    assert set(METHODS[method].per_dataset) <= set(DATASETS)


@pytest.mark.parametrize("module", ["s2e.words.job", "s2e.methods.declared.correction"])
def test_the_door_imports_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def refusals(job):
    with pytest.raises(SpecError) as refused:
        parse_job(job)
    return {problem.field: problem.allowed for problem in refused.value.problems}


HUMAN = {"name": "cifar10", "noise": {"kind": "human", "human_labels": "worse_label"}}


@pytest.mark.parametrize("method", ["forward", "backward", "nnbc", "sigua_bc"])
def test_an_unknown_matrix_is_refused_at_the_door(method):
    problems = refusals({"data": HUMAN, "train": {"method": method, "network": "model1"}})
    assert problems["train.params.transition"].startswith("estimated or confident: the matrix of human noise")
    ok = {"method": method, "network": "model1", "params": {"transition": "estimated"}}
    assert parse_job({"data": HUMAN, "train": ok}).train.params["transition"] == "estimated"


def test_a_singular_matrix_is_refused_at_the_door_by_those_who_invert_it():
    data = {"noise": {"kind": "symmetric", "noise_rate": 0.9}}
    assert "has an inverse" in refusals({"data": data, "train": {"method": "nnbc"}})["data.noise"]
    parse_job({"data": data, "train": {"method": "forward"}})
    parse_job(
        {"data": data, "train": {"method": "nnbc", "params": {"transition": "confident", "estimation_epochs": 5}}}
    )


@pytest.mark.parametrize(("transition", "epochs"), [("estimated", 40), ("confident", 20)])
def test_a_matrix_that_comes_too_late_is_refused(transition, epochs):
    job = {"train": {"method": "forward", "params": {"transition": transition, "estimation_epochs": epochs}}}
    allowed = "a stage that begins before the last of 40 epochs"
    assert refusals(job) == {"train.params.estimation_epochs": allowed}
    job["train"]["params"]["estimation_epochs"] = epochs - 1
    parse_job(job)
