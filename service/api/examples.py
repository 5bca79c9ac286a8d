"""An example of every parameter, body and answer of the OpenAPI document, made from its schemas: none can be forgotten,
and none can become untrue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_ID = "0199f3a2-6c1e-7d40-8b52-3f9d1c7a5e60"
_TIME = "2026-11-21T12:00:00Z"
_BODIES: dict[str, Any] = {
    "JobSpec": {
        "name": "digits, half of the labels wrong",
        "data": {"name": "digits", "noise": {"kind": "symmetric", "noise_rate": 0.5}},
        "train": {"method": "coteaching", "n_epochs": 20},
        "search": {"searcher": "newton", "n_rounds": 4, "n_trials": 6},
    },
    "AskIn": {"n_trials": 2, "worker": "gpu-3"},
    "EpochsIn": {"lease": "uT2vX0c", "epochs": [{"epoch": 0, "validation_accuracy": 0.61, "loss": 1.2}]},
    "ResultIn": {"lease": "uT2vX0c"},
}
"""Bodies that say more than their schema."""
_NAMED: dict[str, Any] = {
    "id": _ID,
    "job_id": _ID,
    "trial_id": _ID,
    "key_id": "7c1e",
    "created_at": _TIME,
    "cursor": "WyIwMTk5ZjNhMiJd",
    "next_cursor": None,
    "Idempotency-Key": "digits-1",
    "If-None-Match": 'W/"17-0.1.0"',
    "keep_rate": [1.0, 0.8, 0.5],
    "epochs": [0, 1, 2],
}
"""Values by the name of a field or parameter, where they fit its schema."""


def add_examples(document: dict[str, Any]) -> None:
    """Put an example beside every parameter, body and JSON answer of ``document``."""
    schemas = document["components"]["schemas"]
    for verbs in document["paths"].values():
        for operation in verbs.values():
            for parameter in operation.get("parameters", ()):
                parameter.setdefault("example", _example(parameter["schema"], schemas, parameter["name"]))
            for message in (operation.get("requestBody", {}), *operation["responses"].values()):
                content = message.get("content", {}).get("application/json", {})
                if "schema" in content:
                    content.setdefault("example", _example(content["schema"], schemas))


def _example(schema: dict[str, Any], schemas: dict[str, Any], name: str = "") -> Any:
    """A value that ``schema`` allows."""
    if "$ref" in schema:
        referred = schema["$ref"].rpartition("/")[2]
        return _BODIES[referred] if referred in _BODIES else _example(schemas[referred], schemas, name)
    if name in _NAMED and _fits(_NAMED[name], schema):
        return _NAMED[name]
    if (default := schema.get("default")) is not None:
        return default
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return _example(_most_said(schema[union]), schemas, name)
    make = _EXAMPLES.get(schema.get("type", ""))
    return None if make is None else make(schema, schemas)


def _most_said(options: list[dict[str, Any]]) -> dict[str, Any]:
    return next((option for option in options if option.get("type") != "null"), options[0])


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    kinds = {option.get("type") for option in schema.get("anyOf", [schema])}
    kind = {type(None): "null", str: "string", list: "array"}[type(value)]
    fits_items = kind != "array" or schema.get("items", {}).get("type") in ("number", "integer")
    return kind in kinds and fits_items and "enum" not in schema


def _object(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _example(about, schemas, name)
        for name, about in schema.get("properties", {}).items()
        if name in schema.get("required", schema["properties"])
    }


def _array(schema: dict[str, Any], schemas: dict[str, Any]) -> list[Any]:
    if "prefixItems" in schema:
        return [_example(item, schemas) for item in schema["prefixItems"]]
    item = _example(schema.get("items", {}), schemas)
    return [item] * max(1, schema.get("minItems", 0))


def _string(schema: dict[str, Any], _: dict[str, Any]) -> str:
    return _TIME if schema.get("format") == "date-time" else "text"[: schema.get("maxLength", 4)]


def _number(schema: dict[str, Any], _: dict[str, Any]) -> float:
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    value: float = least + (0.5 if schema["type"] == "number" else "exclusiveMinimum" in schema)
    most: float = schema.get("maximum", value)
    return min(value, most)


def _true(*_: Any) -> bool:
    return True


_EXAMPLES: dict[str, Callable[..., Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _number,
    "boolean": _true,
}
