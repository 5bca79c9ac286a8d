"""Networks at the door: names, settings and image sizes, all without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from s2e.door import parse_job
from s2e.networks.build import build
from s2e.parts import NETWORKS
from s2e.words import JobSpec, SpecError, TrainSpec, UnreadableError, json_schema, to_json


def job(network, dataset="mnist", **params):
    return {"data": {"name": dataset}, "train": {"network": network, "network_params": params}}


def test_a_job_comes_back_with_every_setting():
    assert parse_job(job("mlp")).train.network_params == {}
    assert parse_job(job("cnn9")).train.network_params == {"dropout": "train_only"}
    assert parse_job(job("mlp_tabular", hidden=[8])).train.network_params == {"hidden": [8]}
    once = parse_job(job("torchvision:resnet50", "cifar10"))
    assert once.train.network_params == {"weights": "none"}
    assert parse_job(to_json(once)) == once


@pytest.mark.parametrize(
    ("data", "field", "value", "allowed"),
    [
        (job("cnn9", dropout="always"), "train.network_params.dropout", "always", "one of off, train_only"),
        (job("mlp", hidden=[8]), "train.network_params.hidden", "[8]", "unknown field; known: none"),
        (job("mlp_tabular", hidden=[8, 0]), "train.network_params.hidden[1]", 0, "a whole number, >= 1 and <= 65536"),
        (job("torchvision:ResNet50"), "train.network", "torchvision:ResNet50", "or torchvision:[a-z0-9_]{1,40}"),
        (job("torchvision:"), "train.network", "torchvision:", "or torchvision:[a-z0-9_]{1,40}"),
        (job("model1", "digits"), "train.network", "model1", "for images of 8x8 pixels: model1 needs images of 16x16"),
        (job("cnn9", "digits"), "train.network", "cnn9", "for images of 8x8 pixels: cnn9 needs images of 28x28"),
        (
            job("torchvision:resnet18"),
            "train.network",
            "torchvision:resnet18",
            "for images of 28x28 pixels: torchvision:resnet18 needs images of 32x32",
        ),
    ],
)
def test_a_refusal_names_field_value_and_what_is_allowed(data, field, value, allowed):
    with pytest.raises(SpecError) as refused:
        parse_job(data)
    (problem,) = refused.value.problems
    assert (problem.field, problem.value) == (field, value)
    assert allowed in problem.allowed


@pytest.mark.parametrize(
    ("dataset", "network"),
    [("digits", "model2"), ("digits", "resnet34"), ("mnist", "cnn9"), ("cifar10", "torchvision:resnet18")],
)
def test_a_network_that_fits_is_taken(dataset, network):
    assert parse_job(job(network, dataset)).train.network == network


def test_the_engine_refuses_what_cannot_be_built_and_judges_no_stored_setting():
    """A job that was stored before a setting went, or its range was tightened, trains as it was asked to."""
    assert build(TrainSpec(network="mlp", network_params={"width": 3}), (3, 15, 40), 10)
    assert build(TrainSpec(network="mlp_tabular", network_params={"hidden": [20_000]}), (3,), 2)
    with pytest.raises(SpecError, match="model1 needs images of 16x16"):
        build(TrainSpec(network="model1"), (3, 15, 40), 10)
    with pytest.raises(SpecError, match=r"train\.network = 'torchvision:<name>'"):
        build(TrainSpec(network="torchvision:<name>"), (3, 32, 32), 10)
    with pytest.raises(UnreadableError, match=r"train\.network_params = 3 cannot be read: expected an object"):
        build(TrainSpec(network="mlp", network_params=3), (3, 32, 32), 10)  # type: ignore[arg-type]


def test_rows_of_a_table_are_for_dense_networks():
    with pytest.raises(SpecError, match=r"one of mlp, mlp_tabular, .* for rows of numbers: resnet34 needs images"):
        build(TrainSpec(network="resnet34"), (54,), 7)
    assert build(TrainSpec(network="mlp_tabular"), (54,), 7).template[1].weight.shape == (256, 54)


def test_the_schema_has_the_names_and_the_pattern():
    schema = json_schema(JobSpec)["properties"]["train"]["properties"]["network"]
    names, pattern = schema["anyOf"]
    assert names == {"enum": list(NETWORKS.names())}
    assert pattern == {"type": "string", "pattern": "^torchvision:[a-z0-9_]{1,40}$"}


def test_checking_a_network_imports_no_torch():
    code = (
        "import sys; from s2e.door import parse_job; "
        "parse_job({'data': {'name': 'cifar10'}, 'train': {'network': 'torchvision:resnet50'}}); "
        "print(sorted({'torch', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
