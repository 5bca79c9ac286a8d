"""Every refusal is a problem document that names field, value and what is allowed, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.store.engine import Database

JSON = {"Content-Type": "application/json"}

BAD_FIELDS = [
    ({"train": {"method": "nosuch"}}, "train.method", "nosuch", "coteaching"),
    ({"train": {"network": "resnet"}}, "train.network", "resnet", "mlp"),
    ({"data": {"name": "imagenet"}}, "data.name", "imagenet", "digits"),
    ({"search": {"space": "nosuch"}}, "search.space", "nosuch", "s2e"),
    ({"search": {"searcher": "nosuch"}}, "search.searcher", "nosuch", "newton"),
    ({"search": {"searcher": "newton", "n_trials": 1}}, "search.n_trials", 1, ">= 2"),
    ({"search": {"searcher": "newton_literal", "n_trials": 1}}, "search.n_trials", 1, ">= 2"),
    ({"search": {"searcher": "cmaes", "n_trials": 3}}, "search.n_trials", 3, ">= 4"),
    ({"search": {"searcher": "hyperband", "n_rounds": 1, "n_trials": 1}}, "search.n_trials", 1, "first bracket"),
    ({"search": {"searcher": "asha"}, "trials": "external"}, "search.searcher", "asha", "full trainings"),
    ({"data": {"noise": {"noise_rate": 1}}}, "data.noise.noise_rate", 1.0, "< 1"),
    ({"data": {"noise": {"noise_rate": -0.1}}}, "data.noise.noise_rate", -0.1, ">= 0"),
    ({"data": {"noise": {"noise_rate": 7}}}, "data.noise.noise_rate", 7.0, "< 1"),
    ({"data": {"noise": {"kind": "pair", "noise_rate": 0.5}}}, "data.noise.noise_rate", 0.5, "< 0.5"),
    ({"train": {"n_epochs": 0}}, "train.n_epochs", 0, ">= 1"),
    ({"train": {"n_epochs": -3}}, "train.n_epochs", -3, ">= 1"),
    ({"train": {"n_epochs": 2.5}}, "train.n_epochs", 2.5, "whole number"),
    ({"train": {"n_epochs": True}}, "train.n_epochs", True, "whole number"),
    ({"train": {"n_epochs": "40"}}, "train.n_epochs", "40", "whole number"),
    ({"train": {"n_epochs": None}}, "train.n_epochs", None, "whole number"),
    ({"train": {"learning_rate": 0}}, "train.learning_rate", 0.0, "> 0"),
    ({"seed": -1}, "seed", -1, ">= 0"),
    ({"seed": 2**63}, "seed", hex(2**63), "< 9223372036854775808"),
    ({"train": {"learning_rate": 10**400}}, "train.learning_rate", hex(10**400)[:80], "finite"),
    ({"surprise": 1}, "surprise", 1, "unknown field"),
    ({"train": {"lr": 1}}, "train.lr", 1, "unknown field"),
    ({"train": []}, "train", "[]", "object"),
    ({"report": {"taus": [0.1, 2]}}, "report.taus[1]", 2.0, "< 1"),
    ({"report": {"taus": [0.1] * 101}}, "report.taus", None, "at most 100"),
    ({"name": "x" * 121}, "name", None, "120"),
    ({"data": {"n_validation": 5000}}, "data.n_validation", 5000, ""),
    ({"data": {"name": "csv", "csv": {"path": "t.csv"}}, "trials": "external"}, "report.tau", None, "estimate-noise"),
    ({"data": {"name": "csv", "noise": {"noise_rate": 0.2}}}, "data.noise.noise_rate", "0.2", "only beside"),
]


@pytest.fixture(scope="module")
def http(
    tmp_path_factory: pytest.TempPathFactory, settings_in: Any, start_server: Any, count_rows: Any
) -> Iterator[Any]:
    """One service for the module. After every request its database is as empty as before."""
    settings = settings_in(tmp_path_factory.mktemp("refusing"))
    database = Database(settings.database_url)

    def nothing_is_stored(_response: httpx.Response) -> None:
        assert not any(count_rows(database).values())

    with start_server(settings) as service:
        service.http.event_hooks = {"response": [nothing_is_stored]}
        yield service.http
    database.close()


@pytest.mark.parametrize(("body", "field", "value", "allowed"), BAD_FIELDS)
def test_a_bad_field_is_named(
    http: httpx.Client, assert_problem: Any, body: Any, field: str, value: Any, allowed: str
) -> None:
    problem = assert_problem(http.post("/jobs", json=body), 422, "invalid_spec")
    named = next(error for error in problem["errors"] if error["field"] == field)
    assert allowed in named["allowed"]
    if value is not None:
        assert named["value"] == value


def test_every_bad_field_is_named_at_once(http: httpx.Client, assert_problem: Any) -> None:
    body = {"train": {"n_epochs": 0, "method": "x"}, "nosuch": 1}
    problem = assert_problem(http.post("/jobs", json=body), 422, "invalid_spec")
    assert {error["field"] for error in problem["errors"]} == {"train.n_epochs", "train.method", "nosuch"}


@pytest.mark.parametrize(
    ("text", "shown"), [("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf"), ("1e999", "inf")]
)
@pytest.mark.parametrize(
    ("before", "field"), [('{"train":{"learning_rate":', "train.learning_rate"), ('{"x":{"seed":', "x")]
)
def test_no_number_is_named(
    http: httpx.Client, assert_problem: Any, before: str, field: str, text: str, shown: str
) -> None:
    response = http.post("/jobs", content=f"{before}{text}}}}}", headers=JSON)
    problem = assert_problem(response, 422, "invalid_spec")
    assert problem["errors"][0]["field"] == field
    assert shown in str(problem["errors"][0]["value"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nope",
        b'{"seed": 1',
        b'{"seed": 1}}',
        b"\xff\xfe",
        b'{"seed": ' + b"1" * 5000 + b"}",
        b"[" * 100_000,
        b"[" * 17 + b"]" * 17,
        b'{"seed":1,"seed":1}',
        b'{"train":{"n_epochs":1,"n_epochs":2}}',
        rb'{"name":"\ud800"}',
        rb'{"name":"\u0000"}',
        rb'{"\udfff":1}',
    ],
)
def test_what_is_not_json(http: httpx.Client, assert_problem: Any, body: bytes) -> None:
    assert_problem(http.post("/jobs", content=body, headers=JSON), 400, "invalid_request")


def test_a_field_given_twice_is_named(http: httpx.Client, assert_problem: Any) -> None:
    response = http.post("/jobs", content=b'{"seed":1,"seed":2}', headers=JSON)
    assert assert_problem(response, 400, "invalid_request")["errors"] == [
        {"field": "seed", "value": "twice", "allowed": "once"}
    ]


@pytest.mark.parametrize("body", ["[]", "null", "3", '"text"', "true"])
def test_json_that_is_no_object(http: httpx.Client, assert_problem: Any, body: str) -> None:
    problem = assert_problem(http.post("/jobs", content=body, headers=JSON), 422, "invalid_spec")
    assert problem["errors"][0]["allowed"] == "must be an object"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense"])
def test_another_content_type(http: httpx.Client, assert_problem: Any, kind: str) -> None:
    response = http.post("/jobs", content=b"{}", headers={"Content-Type": kind})
    assert_problem(response, 415, "unsupported_media_type")


def test_no_content_type(http: httpx.Client, assert_problem: Any) -> None:
    assert_problem(http.post("/jobs", content=b"{}"), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("path", "chunked"), [("/jobs", True), ("/jobs", False), ("/session", True), ("/jobs/some-job/cancel", False)]
)
def test_a_body_over_the_limit(http: httpx.Client, assert_problem: Any, path: str, chunked: bool) -> None:
    body = json.dumps({"name": "x" * 262_144}).encode()
    content = (body[i : i + 60_000] for i in range(0, len(body), 60_000)) if chunked else body
    assert_problem(http.post(path, content=content, headers=JSON), 413, "too_large")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/jobs?limit=0", "limit"),
        ("/jobs?limit=201", "limit"),
        ("/jobs?limit=many", "limit"),
        ("/jobs?state=asleep", "state"),
        ("/jobs?cursor=nonsense", "cursor"),
        ("/jobs?cursor=WzFd", "cursor"),
        ("/jobs?cursor=%00", "cursor"),
        ("/jobs?cursor=" + "W" * 200, "cursor"),
    ],
)
def test_bad_parameters_are_named(http: httpx.Client, assert_problem: Any, path: str, field: str) -> None:
    problem = assert_problem(http.get(path), 422, "invalid_parameter")
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["allowed"]


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "é".encode()])
def test_a_bad_idempotency_key(http: httpx.Client, assert_problem: Any, key: str | bytes) -> None:
    problem = assert_problem(http.post("/jobs", json={}, headers={"Idempotency-Key": key}), 422, "invalid_parameter")
    assert problem["errors"][0]["field"].lower() == "idempotency-key"


@pytest.mark.parametrize("job_id", ["nosuch", "01980000-0000-7000-8000-000000000000", "%00", "%3Cb%3E", "x" * 300, "é"])
@pytest.mark.parametrize("what", ["", "/rounds", "/trials", "/schedules", "/schedule", "/report", "/events"])
def test_no_such_job(http: httpx.Client, assert_problem: Any, job_id: str, what: str) -> None:
    assert_problem(http.get(f"/jobs/{job_id}{what}"), 404, "not_found")


def test_no_such_trial_and_no_such_address(http: httpx.Client, assert_problem: Any) -> None:
    for path in ("/trials/nosuch", "/trials/nosuch/epochs", "/nosuch", "/jobs/", "/../../nosuch"):
        assert_problem(http.get(path), 404, "not_found")


@pytest.mark.parametrize(("method", "path", "allowed"), [("PUT", "/jobs", "GET, POST"), ("POST", "/methods", "GET")])
def test_a_wrong_method_says_which_are_right(
    http: httpx.Client, assert_problem: Any, method: str, path: str, allowed: str
) -> None:
    response = http.request(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed
