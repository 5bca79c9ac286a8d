"""The OpenAPI document: FastAPI's, with the job's schema from its own validator and problems for every refusal."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from s2e.words import JobSpec, json_schema
from service.api.problems import MEDIA_TYPE
from service.api.routes.external import AskIn, EpochsIn, ResultIn
from service.api.routes.session import SessionIn
from service.api.schemas import ProblemOut
from service.settings import Settings

_REFUSED = {"$ref": "#/components/responses/Problem"}


def install(app: FastAPI) -> None:
    """Make ``app.openapi`` give :func:`document`, built once."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def as_text() -> str:
    """The document as the text of docs/openapi.json: what it says depends on the code only, not on any setting."""
    from service.api.app import create_app  # which installs this module

    app = create_app(Settings(host="127.0.0.1", database_url="sqlite://"))
    return json.dumps(document(app), indent=1, ensure_ascii=False) + "\n"


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document of ``app``."""
    found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    for path in found["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            responses.pop("422", None)  # FastAPI's own shape, which is never sent
            responses["4XX"] = responses["5XX"] = _REFUSED
    components = found["components"]
    components["schemas"].pop("HTTPValidationError", None)
    components["schemas"].pop("ValidationError", None)
    components["schemas"] |= {
        "JobSpec": json_schema(JobSpec),
        **{body.__name__: json_schema(body) for body in (SessionIn, AskIn, EpochsIn, ResultIn)},
        "Problem": ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}"),
    }
    components["schemas"] |= components["schemas"]["Problem"].pop("$defs")
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    components["responses"] = {"Problem": {"description": "A problem document", "content": {MEDIA_TYPE: problem}}}
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "s2e_session"},
    }
    found["security"] = [{}, {"key": []}, {"session": []}]
    return found
