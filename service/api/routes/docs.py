"""/docs: the API as one page, made from the OpenAPI document. No script and nothing fetched from elsewhere, so it works
offline and under the content policy."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

router = APIRouter(include_in_schema=False)
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
code,pre{font:13px/1.45 ui-monospace,monospace}
h2{border-top:1px solid #ccc;padding-top:1rem}
.verb{display:inline-block;min-width:3.5rem;font-weight:700}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #eee}
@media (prefers-color-scheme:dark){body{color:#eee;background:#181818}a{color:#8ab4ff}th,td{border-color:#333}}
"""


@router.get("/docs/style.css")
def docs_style() -> Response:
    return Response(_STYLE, media_type="text/css")


@router.get("/docs")
def docs_page(request: Request) -> HTMLResponse:
    """Every operation and every shape of the API."""
    document = request.app.openapi()
    operations = [
        _operation(verb, path, operation)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    ]
    shapes = [_shape(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    title = escape(f"{document['info']['title']} API {document['info']['version']}")
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<meta name=viewport content='width=device-width'><link rel=stylesheet href=/docs/style.css>"
        f"<h1>{title}</h1><p>{escape(document['info'].get('summary', ''))} The same as a file: "
        f"<a href=/openapi.json>openapi.json</a>. Every refusal is a <a href=#Problem>problem document</a>.</p>"
        f"<h2>Operations</h2>{''.join(operations)}<h2>Shapes</h2>{''.join(shapes)}</html>"
    )


def _operation(verb: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        (p["name"], f"{p['in']}, {_kind(p['schema'])}", p.get("description", ""))
        for p in operation.get("parameters", [])
    ]
    if body := operation.get("requestBody"):
        rows.append(("body", _kind(_schema(body)), ""))
    for status, answer in operation["responses"].items():
        rows.append((f"→ {status}", _kind(_schema(answer)), answer.get("description", "")))
    head = f"<span class=verb>{verb.upper()}</span> <code>{escape(path)}</code>"
    text = f"<p>{escape(operation.get('description', ''))}</p>{_table(rows)}"
    return f"<h3 id={escape(operation['operationId'])}>{head}</h3>{text}"


def _shape(name: str, schema: dict[str, Any], level: int = 3) -> str:
    """A shape and, below it, the objects inside it."""
    properties = schema.get("properties", {})
    rows = [(field, _kind(s), _note(s)) for field, s in properties.items()]
    inner = [_shape(f"{name}.{field}", s, 4) for field, s in properties.items() if "properties" in s]
    text = f"<p>{escape(schema.get('description', ''))}</p>{_table(rows)}"
    return f"<h{level} id='{escape(name)}'>{escape(name)}</h{level}>{text}{''.join(inner)}"


def _schema(message: dict[str, Any]) -> dict[str, Any]:
    """The schema of a request's or an answer's content; a reference to a shared answer is one itself."""
    content: dict[str, Any] = next(iter(message.get("content", {}).values()), {})
    schema: dict[str, Any] = content.get("schema", message)
    return schema


def _table(rows: list[tuple[str, str, str]]) -> str:
    cells = "".join(f"<tr><th><code>{escape(a)}</code><td>{b}<td>{escape(c)}" for a, b, c in rows)
    return f"<table>{cells}</table>" if rows else ""


def _note(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    plain = default is None or isinstance(default, dict)
    return f"{schema.get('description', '')}{'' if plain else f' (default {default})'}"


def _kind(schema: dict[str, Any]) -> str:
    """A schema in few words, as HTML."""
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    signs = {"minimum": "≥", "exclusiveMinimum": "&gt;", "maximum": "≤", "exclusiveMaximum": "&lt;"}
    words = [escape(str(schema.get("const", schema.get("type", "any"))))]
    return " ".join(words + [f"{sign} {schema[name]}" for name, sign in signs.items() if name in schema])
