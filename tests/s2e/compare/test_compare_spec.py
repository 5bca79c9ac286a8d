"""Comparison specs: what is allowed, and how they are completed before anything is stored."""

from __future__ import annotations

from typing import Any

import pytest

from s2e.door import parse_job
from s2e.jobs.loop import next_round, populations
from s2e.words import JobSpec, Round, SpecError, to_json

STANDARD, COTEACHING = {"method": "standard"}, {"method": "coteaching"}


def job(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "compare", "train": {"n_epochs": 4}, "compare": {"n_seeds": 2, "entries": list(entries)}} | more


def entry(**fields: Any) -> dict[str, Any]:
    return {"method": "coteaching", **fields}


def test_labels_and_hyperparameters_are_filled_in() -> None:
    spec = parse_job(job(STANDARD, entry(label="mine"), {"method": "sce", "params": {"alpha": 0.5}}))
    assert spec.compare is not None
    assert [e.label for e in spec.compare.entries] == ["standard", "mine", "sce"]
    params = spec.compare.entries[2].params
    assert (params["alpha"], params["beta"]) == (0.5, 1.0)
    assert parse_job(to_json(spec)) == spec


def test_a_job_is_a_search_unless_it_says_otherwise() -> None:
    assert (JobSpec().kind, JobSpec().compare) == ("search", None)


def test_an_entry_begins_from_the_job_s_own_settings() -> None:
    data = job(entry(train={"learning_rate": 0.01}), train={"n_epochs": 4, "batch_size": 64})
    spec = parse_job(data)
    assert spec.compare is not None
    assert spec.compare.entries[0].overrides == {
        "learning_rate": 0.01,
        "method": "coteaching",
        "params": spec.train.params,
    }


@pytest.mark.parametrize(
    ("data", "field", "value", "allowed"),
    [
        ({"kind": "race"}, "kind", "race", "one of auto, compare, search"),
        ({"kind": "compare"}, "compare", None, "required for kind compare"),
        (job(), "compare.entries", "[]", "at least one entry"),
        (job(*[entry(label=str(i)) for i in range(51)]), "compare.entries", None, "at most 50"),
        ({"compare": {"entries": [STANDARD]}}, "compare", "given", "nothing: the job's kind is search"),
        (job(STANDARD, trials="external"), "trials", "external", "internal"),
        (job({}), "compare.entries[0].method", None, "required"),
        (job({"method": "nosuch"}), "compare.entries[0].method", "nosuch", "one of"),
        (job(STANDARD, STANDARD), "compare.entries", "standard", "given twice"),
        (job(entry(label="standard"), STANDARD), "compare.entries", "standard", "given twice"),
        (job(entry(label="search")), "compare.entries[0].label", "search", "a search's own"),
        (job(entry(label="tuned 2")), "compare.entries[0].label", "tuned 2", "a search's own"),
        (job(entry(label="tau=0.3")), "compare.entries[0].label", "tau=0.3", "a search's own"),
        (job(entry(label="ünïcode")), "compare.entries[0].label", "ünïcode", "printable ASCII"),
        (job(entry(label=" outer")), "compare.entries[0].label", " outer", "without outer spaces"),
        (job(entry(label="x" * 41)), "compare.entries[0].label", "x" * 41, "at most 40 characters"),
        (job(STANDARD, {"method": "gce", "params": {"q": 2}}), "compare.entries[1].params.q", 2, "<= 1"),
        (job({"method": "gce", "params": {"r": 1}}), "compare.entries[0].params.r", 1, "unknown field"),
        (job(entry(train={"learning_rate": -1})), "compare.entries[0].train.learning_rate", -1, "> 0"),
        (job(entry(train={"n_epochs": 9})), "compare.entries[0].train.n_epochs", 9, "as the whole job"),
        (job(entry(train={"method": "gce"})), "compare.entries[0].train.method", "given", "its own field"),
        (job(entry(train={"network": "cnn9"})), "compare.entries[0].train.network", "cnn9", "images of 28x28"),
        (
            job(entry(train={"network_params": {"hidden": [8]}})),
            "compare.entries[0].train.network_params.hidden",
            "[8]",
            "unknown field",
        ),
        (job(entry(train={"batch_size": 5000})), "compare.entries[0].train.batch_size", 5000, "<= 997"),
        (job(entry(schedule={"kind": "tau"})), "compare.entries[0].schedule.tau", None, "required for kind tau"),
        (job(entry(schedule={"tau": 0.3})), "compare.entries[0].schedule.tau", "given", "the kind is default"),
        (job(entry(schedule={"kind": "tau", "tau": 1})), "compare.entries[0].schedule.tau", 1, "< 1"),
        (job(entry(schedule={"kind": "job"})), "compare.entries[0].schedule.job", "", "required for kind job"),
        (
            job(entry(schedule={"kind": "list", "keep_rate": [1, 0.5]})),
            "compare.entries[0].schedule.keep_rate",
            "2 values",
            "one value for each of 4 epochs",
        ),
        (
            job(entry(schedule={"kind": "list", "keep_rate": [0.9, 0.5, 0.5, 0.5]})),
            "compare.entries[0].schedule.keep_rate[0]",
            0.9,
            "training begins with every sample",
        ),
        (
            job(entry(schedule={"kind": "list", "keep_rate": [1, 1.5, 0.5, 0.5]})),
            "compare.entries[0].schedule.keep_rate[1]",
            1.5,
            "<= 1",
        ),
        (job(STANDARD, compare={"entries": [STANDARD], "n_seeds": 1}), "compare.n_seeds", 1, ">= 2"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(data: Any, field: str, value: Any, allowed: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_job(data)
    by_field = {problem.field: problem for problem in refused.value.problems}
    assert field in by_field, list(by_field)
    assert allowed in by_field[field].allowed
    if value is not None:
        assert by_field[field].value == value


def test_an_entry_with_another_network_leaves_the_settings_of_the_job_s_own() -> None:
    train = {"n_epochs": 4, "network": "mlp_tabular", "network_params": {"hidden": [8]}}
    spec = parse_job(job(STANDARD, entry(train={"network": "mlp"}), train=train))
    groups = populations(spec, next_round(spec, []) or Round(0, "", ()))
    assert [(group.train.network, group.train.network_params) for group in groups] == [
        ("mlp_tabular", {"hidden": [8]}),
        ("mlp", {}),
    ]


def test_every_entry_at_fault_is_named_at_once() -> None:
    with pytest.raises(SpecError) as refused:
        parse_job(job({"method": "gce", "params": {"q": 2}}, entry(schedule={"kind": "tau"})))
    assert [problem.field for problem in refused.value.problems] == [
        "compare.entries[0].params.q",
        "compare.entries[1].schedule.tau",
    ]
