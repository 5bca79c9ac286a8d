"""The OpenAPI document: FastAPI's, with the job's schema from its own validator, the words of the vocabulary beside
every field, and problems for every refusal."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from s2e.words import EpochMetrics, JobSpec, Number, datasets, hooks, json_schema, numbers_of, people, results
from s2e.words import answers as shapes
from s2e.words.answers import ProblemDocument
from s2e.words.asks import AskIn, ChangeIn, EpochsIn, ResultIn, SessionIn
from s2e.words.datasets import DatasetIn
from s2e.words.hooks import WebhookIn
from s2e.words.people import KeyIn
from service.api.examples import add_examples
from service.api.operations import operations
from service.api.problems import MEDIA_TYPE
from service.api.scopes import NOBODY, scope_of

BODIES = (JobSpec, ChangeIn, SessionIn, AskIn, EpochsIn, ResultIn, KeyIn, DatasetIn, WebhookIn)
_REFUSED = {"$ref": "#/components/responses/Problem"}
_FEWER = {
    "type": "object",
    "description": "A page whose items have the fields that were asked for.",
    "required": ["items", "next_cursor"],
    "properties": {
        "items": {"type": "array", "items": {"type": "object"}},
        "next_cursor": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
}
_WORDS: dict[str, type] = {
    name: value
    for module in (results, shapes, people, datasets, hooks)
    for name, value in vars(module).items()
    if isinstance(value, type) and dataclasses.is_dataclass(value)
}
"""Every shape of an answer by its name in the document."""


def install(app: FastAPI) -> None:
    """Make ``app.openapi`` give :func:`document`, built once."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document of ``app``."""
    described = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    scopes = {route.operation_id: scope_of(route.endpoint) for route in operations()}
    for path, verbs in described["paths"].items():
        for verb, operation in verbs.items():
            responses = operation["responses"]
            if scope := scopes.get(operation["operationId"]):
                operation["security"] = [] if scope == NOBODY else [{}, {"key": [scope]}, {"session": [scope]}]
            responses.pop("422", None)  # FastAPI's own shape, which is never sent
            responses |= {str(status): _REFUSED for status in _refusals(path, verb, operation)}
            _allow_fewer_fields(operation)
    components = described["components"]
    components["schemas"] = _schemas(components["schemas"])
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    components["responses"] = {"Problem": {"description": "A problem document", "content": {MEDIA_TYPE: problem}}}
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "s2e_session"},
    }
    described["security"] = [{}, {"key": []}, {"session": []}]
    add_examples(described)
    return described


def _allow_fewer_fields(operation: dict[str, Any]) -> None:
    """A list of which some fields only were asked for has items of another shape."""
    if any(parameter["name"] == "fields" for parameter in operation.get("parameters", ())):
        content = operation["responses"]["200"]["content"]["application/json"]
        content["schema"] = {"anyOf": [content["schema"], {"$ref": "#/components/schemas/FewerFields"}]}


def _refusals(path: str, verb: str, operation: dict[str, Any]) -> list[int]:
    """The refusals of an operation, by caller, method, body and stored data."""
    statuses = {403, 413, 500, 503}  # another site's page, too large a body, a bug, a database that is away
    statuses |= {400, 431}  # headers given twice, or too large
    if path.startswith("/api/") or path == "/metrics":
        statuses |= {401, 429}
    if "requestBody" in operation:
        statuses |= {408, 415, 422}
    if any(p["in"] != "path" or "pattern" in p["schema"] for p in operation.get("parameters", ())):
        statuses.add(422)
    if "{" in path:
        statuses |= {404, 409}  # 409 of a reader: another release stored what this one cannot read
    if verb != "get" and path != "/api/v1/session":
        statuses.add(409)
    return sorted(statuses)


def _schemas(of_answers: dict[str, Any]) -> dict[str, Any]:
    """The shapes: answers as FastAPI has them, with their words; bodies and problems by their own validator."""
    for name in ("HTTPValidationError", "ValidationError"):
        of_answers.pop(name, None)
    for name, schema in of_answers.items():
        if name in _WORDS:
            _add_words(schema, _WORDS[name])
    spec = of_answers["Job"]["properties"]["spec"]
    of_answers["Job"]["properties"]["spec"] = {
        "description": spec["description"],
        "anyOf": [{"$ref": "#/components/schemas/JobSpec"}, {"type": "object", "description": "of another version"}],
    }
    bodies = {body.__name__: json_schema(body) for body in BODIES}
    return of_answers | bodies | {"FewerFields": _FEWER, "Problem": json_schema(ProblemDocument)}


def _add_words(schema: dict[str, Any], shape: type) -> None:
    """The sentence of a shape, and of each field its own with the names that it may have."""
    schema["description"] = " ".join((shape.__doc__ or "").split())
    for field in dataclasses.fields(shape):
        about = schema["properties"][field.name]
        if doc := field.metadata.get("doc"):
            about["description"] = doc
        if choices := field.metadata.get("choices"):
            about["enum"] = list(choices)
        if field.name == "series":
            about["properties"] = {
                number.name: {**about["additionalProperties"], "description": _sentence(number)}
                for number in numbers_of(EpochMetrics)
            }


def _sentence(number: Number) -> str:
    return f"{number.title}: {number.doc}"
