"""One table of numbers: column, series, answer, OpenAPI, menu and export follow from the declaration."""

from __future__ import annotations

import json

import httpx
import pytest
from sqlalchemy import Double

from s2e.words import CompareRow, EpochMetrics, EpochNumbers, ReportRow, TrialResult, numbers_of, to_json
from service.api.app import openapi_text
from service.store.models import Base, Epoch, Trial


@pytest.mark.parametrize(("table", "words"), [(Epoch, EpochMetrics), (Trial, TrialResult)])
def test_the_columns_of_numbers_are_those_that_are_declared(table: type[Base], words: type) -> None:
    columns = {column.name for column in table.__table__.columns if isinstance(column.type, Double)}
    assert columns == {number.name for number in numbers_of(words)}


def test_the_document_names_every_number() -> None:
    document = json.loads(openapi_text())
    shapes, names = document["components"]["schemas"], {number.name for number in numbers_of(EpochMetrics)}
    assert set(shapes["TrialEpochs"]["properties"]["series"]["properties"]) == names
    assert {number.name for number in numbers_of(TrialResult)} <= set(shapes["JobTrial"]["properties"])
    [metric] = [
        p for p in document["paths"]["/api/v1/jobs/{job_id}/curves"]["get"]["parameters"] if p["name"] == "metric"
    ]
    assert set(metric["schema"]["enum"]) == names
    told = set(shapes["EpochsIn"]["properties"]["epochs"]["items"]["properties"])
    assert told == {"epoch", *(number.name for number in numbers_of(EpochNumbers))}


def test_the_dashboard_is_told_every_number_with_its_title(http: httpx.Client) -> None:
    tables = http.get("/numbers").json()
    for name, words in (
        ("epoch", EpochMetrics), ("trial", TrialResult), ("search_row", ReportRow), ("compare_row", CompareRow),
    ):  # fmt: skip
        assert tables[name] == [to_json(number) for number in numbers_of(words)]
        assert all(number["title"] and number["doc"] for number in tables[name])
