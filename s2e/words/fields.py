"""Plain JSON <-> frozen dataclasses, with every refusal naming field, value and what is allowed.

A field carries its rules in its metadata (made by :func:`param`); :func:`parse` checks them,
:func:`json_schema` publishes them. One source for the command line, the REST API and its documentation.
Only the standard library is used, because the training engine must run on a bare machine.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar

from s2e.words.errors import Problem, SpecError

T = TypeVar("T")
_BOUNDS: dict[str, tuple[str, str, Callable[[float, float], bool]]] = {
    "ge": (">=", "minimum", lambda v, b: v >= b),
    "gt": (">", "exclusiveMinimum", lambda v, b: v > b),
    "le": ("<=", "maximum", lambda v, b: v <= b),
    "lt": ("<", "exclusiveMaximum", lambda v, b: v < b),
}
_MAX_ITEMS = 10_000
_MAX_TEXT = 4_000


@dataclasses.dataclass(frozen=True)
class Names:
    """The names that a field with ``names=KEY`` may hold, asked for when a value is checked."""

    known: Callable[[], Iterable[str]]
    broken: Callable[[], Mapping[str, str]] = dict
    """Name -> reason, for names that are declared somewhere and cannot be used."""

    def allowed(self, value: Any) -> str:
        """The allowed names, and the reason where ``value`` is declared and cannot be used."""
        names = "one of " + ", ".join(self.known())
        reason = self.broken().get(value, "") if isinstance(value, str) else ""
        return f"{names}; {value} cannot be used: {reason}" if reason else names


class Condition(typing.NamedTuple):
    """Of a field that has an effect only beside some values of another."""

    other: str
    values: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.other} {' or '.join(map(str, self.values))}"


NAMES: dict[str, Names] = {}
"""Names by key. The registries enter themselves: the vocabulary imports none of them."""


def param(default: Any = dataclasses.MISSING, *, doc: str, **rules: Any) -> Any:
    """A dataclass field with its documentation and rules: ``ge gt le lt choices names or_pattern max_length where``.

    ``choices`` is a sequence of names, ``names`` the key of a registry in :data:`NAMES` that is asked late;
    ``or_pattern`` is a regular expression for further names.
    ``where`` is the :class:`Condition` under which the field has an effect.
    A mutable or dataclass default is given as a zero-argument callable. ``kw_only`` is dataclasses' own, ``number`` is
    for :mod:`s2e.words.numbers`.
    """
    kw_only = rules.pop("kw_only", dataclasses.MISSING)
    unknown = set(rules) - set(_BOUNDS) - {"choices", "names", "or_pattern", "max_length", "number", "where"}
    if unknown:
        raise TypeError(f"unknown rules {sorted(unknown)}")
    more: dict[str, Any] = {"metadata": {"doc": doc, **rules}, "kw_only": kw_only}
    if default is dict:  # compared, but not hashed: a frozen dataclass with such a field can still be a key
        return dataclasses.field(default_factory=dict, hash=False, **more)
    if isinstance(default, type) or callable(default):
        return dataclasses.field(default_factory=default, **more)
    if default is dataclasses.MISSING:
        return dataclasses.field(**more)
    return dataclasses.field(default=default, **more)


def to_json(value: Any) -> Any:
    """A dataclass (or a tree of them) as plain dicts, lists, numbers, strings and None; times as UTC ISO 8601."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def parse(cls: type[T], data: Any, path: str = "") -> T:
    """Build ``cls`` from plain JSON. Raises SpecError with *all* problems found."""
    problems: list[Problem] = []
    value = _parse(cls, {}, data, path, problems)
    if problems:
        raise SpecError(*problems)
    return typing.cast(T, value)


def _parse(kind: Any, rules: Mapping[str, Any], data: Any, path: str, problems: list[Problem]) -> Any:
    form, inner, items, may_be_null = _shape(kind)
    if data is None and may_be_null:
        return None
    if form == "dataclass":
        return _parse_dataclass(inner, data, path, problems)
    if form == "list":
        return _parse_tuple(items, rules, data, path, problems)
    if form == "anything":
        return data
    if form == "object":
        if not isinstance(data, dict):
            problems.append(Problem(path, _short(data), "must be an object"))
        return data
    return _parse_scalar(inner, rules, data, path, problems)


@functools.cache
def _shape(kind: Any) -> tuple[str, Any, Any, bool]:
    """The form of a type, the type without its null, the type of its items, and whether it may be null; cached, because
    taking types apart is most of the time of a small parse."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return *_shape(next(a for a in args if a is not type(None)))[:3], type(None) in args
    if dataclasses.is_dataclass(kind):
        return "dataclass", kind, None, False
    if origin is tuple:
        return "list", kind, args[0], False
    if kind is Any:
        return "anything", kind, None, False
    return "object" if origin is dict or kind is dict else "scalar", kind, None, False


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Types of the fields; cached, because evaluating them is most of the time of a parse."""
    return typing.get_type_hints(cls)


@functools.cache
def _fields(cls: type) -> dict[str, tuple[Any, Mapping[str, Any], bool]]:
    """Type and rules of each field, and whether it is required."""
    hints = _hints(cls)
    return {
        f.name: (hints[f.name], f.metadata, f.default is dataclasses.MISSING is f.default_factory)
        for f in dataclasses.fields(cls)
    }


def _parse_dataclass(cls: type, data: Any, path: str, problems: list[Problem]) -> Any:
    if not isinstance(data, Mapping):
        problems.append(Problem(path or cls.__name__, _short(data), "must be an object"))
        return None
    fields = _fields(cls)
    at = f"{path}." if path else ""
    if unknown := [name for name in data if name not in fields]:
        known = f"unknown field; known: {', '.join(fields) or 'none'}"
        problems += [Problem(f"{at}{name}"[:200], _short(data[name]), known) for name in unknown]
    values: dict[str, Any] = {}
    before = len(problems)
    for name, (kind, rules, is_required) in fields.items():
        if name in data:
            values[name] = _parse(kind, rules, data[name], at + name, problems)
        elif is_required:
            problems.append(Problem(at + name, None, "required"))
    return cls(**values) if len(problems) == before else None


def _parse_tuple(items: Any, rules: Mapping[str, Any], data: Any, path: str, problems: list[Problem]) -> Any:
    limit = rules.get("max_length", _MAX_ITEMS)
    if not isinstance(data, list | tuple) or len(data) > limit:
        problems.append(Problem(path, _short(data), f"must be a list of at most {limit} items"))
        return ()
    return tuple(_parse(items, rules, item, f"{path}[{i}]", problems) for i, item in enumerate(data))


def _parse_scalar(kind: Any, rules: Mapping[str, Any], data: Any, path: str, problems: list[Problem]) -> Any:
    is_number = _is_finite_number(data)
    if kind is float and is_number:
        data = float(data)
    elif kind is int and is_number and int(data) == data:
        data = int(data)
    elif not (kind in (str, bool) and isinstance(data, kind)):
        problems.append(Problem(path, _short(data), _describe(kind, rules)))
        return data
    bad = False
    for rule, (_, _, holds) in _BOUNDS.items():
        if rule in rules and not holds(data, rules[rule]):
            bad = True
    if _is_named(rules) and data not in _choices(rules) and not _matches(rules, data):
        bad = True
    if kind is str and len(data) > rules.get("max_length", _MAX_TEXT):
        bad = True
    if bad:
        problems.append(Problem(path, _short(data), _describe(kind, rules, data)))
    return data


def _is_finite_number(data: Any) -> bool:
    if isinstance(data, int):  # a whole number beyond the largest float would break math.isfinite
        return not isinstance(data, bool) and abs(data) < 2**64
    return isinstance(data, float) and math.isfinite(data)


def _is_named(rules: Mapping[str, Any]) -> bool:
    return "choices" in rules or "names" in rules


def _choices(rules: Mapping[str, Any]) -> list[Any]:
    return list(rules["choices"] if "choices" in rules else NAMES[rules["names"]].known())


def _matches(rules: Mapping[str, Any], data: Any) -> bool:
    return "or_pattern" in rules and re.fullmatch(rules["or_pattern"], data) is not None


def _describe(kind: Any, rules: Mapping[str, Any], refused: Any = None) -> str:
    """The allowed values of a field in words; with the ``refused`` one, also why a declared name is not among them."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _describe(next(a for a in args if a is not type(None)), rules) + ", or null"
    if origin is tuple:
        return f"a list of at most {rules.get('max_length', _MAX_ITEMS)} items, each {_describe(args[0], rules)}"
    if _is_named(rules):
        names = Names(lambda: map(str, rules["choices"])) if "choices" in rules else NAMES[rules["names"]]
        allowed = names.allowed(refused)
        return f"{allowed}, or {rules['or_pattern']}" if "or_pattern" in rules else allowed
    if kind is str:
        return f"text of at most {rules.get('max_length', _MAX_TEXT)} characters"
    words = {float: "a finite number", int: "a whole number", bool: "true or false"}.get(kind, "an object")
    bounds = [f"{_BOUNDS[r][0]} {rules[r]}" for r in _BOUNDS if r in rules]
    return words + (", " + " and ".join(bounds) if bounds else "")


def _short(value: Any) -> Any:
    """The refused value, safe to repeat: finite, and not the whole of a huge body."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int | float | bool) or value is None:
        return value if not isinstance(value, int) or abs(value) < 2**63 else hex(value)[:80]
    if isinstance(value, date | time):  # which TOML has
        return value.isoformat()
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def field_lines(cls: type) -> list[tuple[str, Any, str, str]]:
    """Name, default, what is allowed and documentation of each field of a flat dataclass made with :func:`param`."""
    hints = _hints(cls)
    return [(f.name, _default_of(f), _describe(hints[f.name], f.metadata), _doc_of(f)) for f in dataclasses.fields(cls)]


def conditions(cls: type) -> dict[str, Condition]:
    """The condition of each field that has one."""
    return {f.name: Condition(*f.metadata["where"]) for f in dataclasses.fields(cls) if "where" in f.metadata}


def idle(cls: type, settings: Mapping[str, Any]) -> dict[str, Condition]:
    """The fields that have no effect beside these settings; what is left out of them has its default."""
    fields = {f.name: f for f in dataclasses.fields(cls)}
    return {
        name: condition
        for name, condition in conditions(cls).items()
        if settings.get(condition.other, _default_of(fields[condition.other])) not in condition.values
    }


def _doc_of(field: dataclasses.Field[Any]) -> str:
    doc: str = field.metadata.get("doc", "")
    return f"{doc}; only with {Condition(*field.metadata['where'])}" if "where" in field.metadata else doc


def _default_of(field: dataclasses.Field[Any]) -> Any:
    """The default as JSON; None where the field is required."""
    if field.default_factory is not dataclasses.MISSING:
        return to_json(field.default_factory())
    return None if field.default is dataclasses.MISSING else to_json(field.default)


def json_schema(cls: type) -> dict[str, Any]:
    """The JSON schema (2020-12) of a dataclass made with :func:`param`."""
    hints = _hints(cls)
    required, properties = [], {}
    for f in dataclasses.fields(cls):
        properties[f.name] = {**_field_schema(hints[f.name], f.metadata), "description": _doc_of(f)}
        if f.default is not dataclasses.MISSING:
            properties[f.name]["default"] = to_json(f.default)
        elif f.default_factory is not dataclasses.MISSING:
            properties[f.name]["default"] = to_json(f.default_factory())
        else:
            required.append(f.name)
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    if required:
        schema["required"] = required
    if cls.__doc__:
        schema["description"] = cls.__doc__.strip().splitlines()[0]
    return schema


def _field_schema(kind: Any, rules: Mapping[str, Any]) -> dict[str, Any]:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        inner = _field_schema(next(a for a in args if a is not type(None)), rules)
        return {"anyOf": [inner, {"type": "null"}]}
    if dataclasses.is_dataclass(kind):
        return json_schema(typing.cast(type, kind))
    if origin is tuple:
        return {
            "type": "array",
            "items": _field_schema(args[0], rules),
            "maxItems": rules.get("max_length", _MAX_ITEMS),
        }
    if origin is dict or kind is dict:
        return {"type": "object"}
    if kind is Any:
        return {}
    schema: dict[str, Any] = {"type": {float: "number", int: "integer", str: "string", bool: "boolean"}[kind]}
    schema |= {_BOUNDS[r][1]: rules[r] for r in _BOUNDS if r in rules}
    if "or_pattern" in rules:
        schema["anyOf"] = [{"enum": _choices(rules)}, {"type": "string", "pattern": f"^{rules['or_pattern']}$"}]
    elif _is_named(rules):
        schema["enum"] = _choices(rules)
    if kind is str and not _is_named(rules):
        schema["maxLength"] = rules.get("max_length", _MAX_TEXT)
    return schema
