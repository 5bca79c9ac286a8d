"""The committed OpenAPI file and the page made from it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx

from s2e.words import JobSpec, json_schema
from service.api.app import openapi_text

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_committed_file_is_what_the_code_gives() -> None:
    assert FILE.read_text(encoding="utf-8") == openapi_text(), "run: s2e openapi > docs/openapi.json"


def test_the_served_document_is_the_committed_one(service: Any) -> None:
    assert httpx.get(f"{service.url}/openapi.json").json() == json.loads(FILE.read_text(encoding="utf-8"))


def test_the_job_is_described_by_its_own_validator() -> None:
    document = json.loads(openapi_text())
    assert document["openapi"].startswith("3.1")
    assert document["components"]["schemas"]["JobSpec"] == json.loads(json.dumps(json_schema(JobSpec)))
    body = document["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/JobSpec"}


def test_every_reference_leads_somewhere_and_every_operation_has_a_name_and_a_refusal() -> None:
    document = json.loads(openapi_text())
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', openapi_text())):
        place: Any = document
        for part in reference.split("/"):
            place = place[part]
    operations = [operation for verbs in document["paths"].values() for operation in verbs.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        refused = {code: answer for code, answer in operation["responses"].items() if code >= "4"}
        assert {"403", "413", "500", "503"} <= set(refused)
        assert all(answer == {"$ref": "#/components/responses/Problem"} for answer in refused.values())
        assert all(code.isdigit() for code in operation["responses"])
        assert operation["description"]


def test_an_operation_names_the_refusals_that_it_has() -> None:
    paths = json.loads(openapi_text())["paths"]

    def refusals(path: str, verb: str) -> set[str]:
        return {code for code in paths[path][verb]["responses"] if code >= "4"}

    always = {"400", "403", "413", "431", "500", "503"}
    assert refusals("/healthz", "get") == always
    always |= {"401", "429"}
    assert refusals("/api/v1/workers", "get") == always
    assert refusals("/api/v1/jobs", "get") == always | {"422"}
    assert refusals("/api/v1/jobs", "post") == always | {"408", "409", "415", "422"}
    assert refusals("/api/v1/jobs/{job_id}", "delete") == always | {"404", "409"}


def test_the_documentation_works_offline_and_names_everything(service: Any) -> None:
    page = httpx.get(f"{service.url}/docs").text
    document = json.loads(openapi_text())
    assert all(path in page for path in document["paths"])
    assert all(f"id='{name}'" in page for name in document["components"]["schemas"] if "[" not in name)
    assert "noise_rate" in page
    assert "<script" not in page
    assert "style=" not in page
    assert not re.search(r"(?:src|href)=['\"]?(?:https?:)?//", page)
