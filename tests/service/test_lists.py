"""Long lists: sorted and filtered by the server, the fields asked for, and whole as lines; tables as files."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import pytest

from s2e.client.errors import InvalidParameter
from s2e.client.http import S2EClient
from s2e.door import parse_job
from s2e.words import parse
from s2e.words.asks import AskIn, EpochsIn, ResultIn
from service.api import lists
from service.api.app import openapi_text
from service.api.examples import _BODIES
from service.store.engine import Database
from service.store.models import Job, Trial


@pytest.fixture
def job(store_job: Any, database: Database) -> str:
    """Three trials: 0 and 1 with objectives 0.2 and 0.19, and 2 without one."""
    job_id: str = store_job(succeeded=2)
    with database.write() as session:
        session.get_one(Job, job_id).name = "Digits 100%"
    return job_id


ORDERS: list[tuple[dict[str, str], list[int]]] = [
    ({}, [0, 1, 2]),
    ({"sort": "-place"}, [2, 1, 0]),
    ({"sort": "objective"}, [1, 0, 2]),
    ({"sort": "-objective"}, [0, 1, 2]),
    ({"state": "succeeded", "sort": "objective"}, [1, 0]),
    ({"state": "pending"}, []),
]


def test_trials_sorted_and_filtered_are_the_same_by_page_and_by_line(
    http: httpx.Client, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "LINES", 1)
    for asked, expected in ORDERS:
        path, by_page, cursor = f"/jobs/{job}/trials", [], None
        while True:
            page = http.get(path, params={**asked, "limit": 1, **({"cursor": cursor} if cursor else {})}).json()
            by_page += page["items"]
            if (cursor := page["next_cursor"]) is None:
                break
        assert [item["k"] for item in by_page] == expected
        answer = http.get(path, params={**asked, "format": "ndjson"})
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert answer.headers["etag"] == http.get(path).headers["etag"]
        assert [json.loads(line) for line in answer.text.splitlines()] == by_page


def test_jobs_are_found_by_name_kind_and_state_and_sorted(http: httpx.Client, job: str, store_job: Any) -> None:
    others = [store_job(name=name) for name in ("b", "a_digits")]

    def ids(**asked: Any) -> list[str]:
        return [item["id"] for item in http.get("/jobs", params=asked).json()["items"]]

    assert ids(sort="created") == [job, *others]
    assert ids() == [*reversed(others), job]
    assert ids(sort="name") == [job, others[1], others[0]]
    first = http.get("/jobs", params={"sort": "-name", "limit": 1}).json()
    assert [first["items"][0]["id"], *ids(sort="-name", cursor=first["next_cursor"])] == [others[0], others[1], job]
    assert ids(name="DIGITS", sort="created") == [job, others[1]]
    assert ids(name="0%") == [job]
    assert (ids(name="%g"), ids(kind="compare"), ids(kind="search", state="queued")) == ([], [], [])


def test_only_the_fields_that_were_asked_for_are_sent(service: Any, http: httpx.Client, job: str) -> None:
    asked = {"fields": "k, objective,k"}
    page = http.get(f"/jobs/{job}/trials", params=asked)
    assert page.json()["items"][0] == {"k": 0, "objective": 0.2}
    assert page.headers["etag"]
    assert http.get("/jobs", params={"fields": "name,state"}).json() == {
        "items": [{"name": "Digits 100%", "state": "running"}], "next_cursor": None,
    }  # fmt: skip
    assert list(http.get(f"/jobs/{job}/rounds", params={"fields": "kind"}).json()["items"][0]) == ["kind"]
    with S2EClient(service.url) as client:
        last = next(iter(client.lines(f"/jobs/{job}/trials", "k", "state", sort="-place")))
        assert last == {"k": 2, "state": "running"}
        assert [trial.k for trial in client.trials(job, state="succeeded", sort="objective")] == [1, 0]
        assert [listed.id for listed in client.jobs(name="digits")] == [job]
        with pytest.raises(InvalidParameter, match="fields"):
            list(client.lines("/jobs", "secret"))


def test_what_a_list_does_not_have_is_refused_by_name(http: httpx.Client, job: str, assert_problem: Any) -> None:
    wrong = {"fields": "k,nothing", "sort": "colour", "state": "tired", "format": "xml", "cursor": "WzAsMF0"}
    for field, value in wrong.items():
        asked = {"sort": "objective", field: value}
        problem = assert_problem(http.get(f"/jobs/{job}/trials", params=asked), 422, "invalid_parameter")
        assert [error["field"] for error in problem["errors"]] == [field]


def test_curves_are_files_too(service: Any, http: httpx.Client, job: str, database: Database, tmp_path: Any) -> None:
    params: dict[str, Any] = {"metric": "validation_accuracy", "max_points": 4}
    curve = http.get(f"/jobs/{job}/curves", params=params).json()
    text = http.get(f"/jobs/{job}/curves", params={**params, "format": "csv"}).text.splitlines()
    assert text[0] == "label,n_trials,epoch,mean,low,high"
    assert text[1].split(",")[:3] == ["search", "3", "0"]
    assert len(text) == 1 + len(curve["epochs"])
    parquet = pytest.importorskip("pyarrow.parquet")
    with database.read() as session:
        trial = session.query(Trial).filter_by(job_id=job, k=0).one().id
    with S2EClient(service.url) as client:
        for path, more, column in ((f"/jobs/{job}/curves", params, "mean"), (f"/trials/{trial}/epochs", {}, "loss")):
            client.save_table(path, tmp_path / "table.parquet", **more)
            client.save_table(path, tmp_path / "table.csv", **more)
            stored = parquet.read_table(tmp_path / "table.parquet").to_pydict()
            head, *rows = [line.split(",") for line in (tmp_path / "table.csv").read_text().splitlines()]
            assert list(stored) == head
            assert stored[column] == [float(row[head.index(column)]) for row in rows]
    assert parquet.read_table(io.BytesIO((tmp_path / "table.parquet").read_bytes())).num_rows == 12


def test_every_operation_has_examples_that_its_own_schemas_allow() -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    document = json.loads(openapi_text())

    def check(schema: Any, example: Any) -> None:
        validator({**schema, "components": document["components"]}).validate(example)

    for verbs in document["paths"].values():
        for operation in verbs.values():
            for parameter in operation.get("parameters", ()):
                check(parameter["schema"], parameter["example"])
            for message in (operation.get("requestBody", {}), *operation["responses"].values()):
                if content := message.get("content", {}).get("application/json"):
                    check(content["schema"], content["example"])
    parse_job(_BODIES["JobSpec"])
    for shape in (AskIn, EpochsIn, ResultIn):
        parse(shape, _BODIES[shape.__name__])
