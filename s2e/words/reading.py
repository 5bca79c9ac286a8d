"""Plain JSON -> frozen dataclasses, for what was checked once already: stored specs, answers of a service, wires.

:func:`read` judges nothing: no range, no name. A field it does not know is ignored, one that is missing has its
default. What it cannot make sense of at all, such as text in the place of a number, is an UnreadableError.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from s2e.words.errors import UnreadableError

T = TypeVar("T")
Reader = Callable[[Any], Any]


def read(cls: type[T], data: Any) -> T:
    """``cls`` from the plain JSON that ``to_json`` made of it, now or in an earlier release. Raises UnreadableError."""
    return typing.cast(T, _reader(typing.cast(Hashable, cls))(data))


@functools.cache
def _reader(kind: Any) -> Reader:
    """A function that reads one type: built once, because there is a row for every trial and epoch."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(_reader(next(a for a in args if a is not type(None))))
    if dataclasses.is_dataclass(origin or kind):
        return _dataclass(typing.cast(type, origin or kind), args)
    if origin is tuple:
        return _tuple(_reader(args[0]))
    if origin in (dict, Mapping):
        return _mapping(_reader(args[1]))
    if kind is Any or origin is typing.Literal:
        return _as_is
    return _SCALARS[kind]


def _as_is(data: Any) -> Any:
    return data


def _optional(inner: Reader) -> Reader:
    if inner is _float:
        return _float_or_none
    return lambda data: None if data is None else inner(data)


def _tuple(item: Reader) -> Reader:
    def read_tuple(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, list | tuple):
            raise UnreadableError("a list", data)
        return tuple(map(item, data))

    return read_tuple


def _mapping(item: Reader) -> Reader:
    def read_mapping(data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise UnreadableError("an object", data)
        return {name: item(value) for name, value in data.items()}

    return read_mapping


def _dataclass(cls: type, args: tuple[Any, ...]) -> Reader:
    """A reader of ``cls``; of a generic one with the types it is used with."""
    types_of = dict(zip(getattr(cls, "__parameters__", ()), args, strict=False))
    hints = {name: _filled(hint, types_of) for name, hint in typing.get_type_hints(cls).items()}
    readers = [(f.name, _reader(hints[f.name])) for f in dataclasses.fields(cls)]

    def read_dataclass(data: Any) -> Any:
        if not isinstance(data, dict | Mapping):
            raise UnreadableError("an object", data)
        try:
            return cls(**{name: reader(data[name]) for name, reader in readers if name in data})
        except (UnreadableError, TypeError, KeyError):
            raise _reason(cls, readers, data) from None

    return read_dataclass


def _reason(cls: type, readers: Sequence[tuple[str, Reader]], data: Mapping[str, Any]) -> UnreadableError:
    """The reason why ``data`` is not a ``cls``, looked for only then: most data are whole."""
    required = {
        f.name
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    for name, reader in readers:
        if name in data:
            try:
                reader(data[name])
            except UnreadableError as error:
                return error.below(name)
        elif name in required:
            return UnreadableError("something", None, name)
    return UnreadableError(cls.__name__, data)


def _filled(hint: Any, types_of: Mapping[Any, Any]) -> Any:
    if hint in types_of:
        return types_of[hint]
    open_types = tuple(types_of[one] for one in getattr(hint, "__parameters__", ()) if one in types_of)
    return hint[open_types] if open_types else hint


def _float(data: Any) -> float:
    if type(data) is float:
        return data
    if type(data) is int:  # a bool is not a number here
        return float(data)
    raise UnreadableError("a number", data)


def _float_or_none(data: Any) -> float | None:
    return data if type(data) is float or data is None else _float(data)


def _int(data: Any) -> int:
    if type(data) is int:
        return data
    raise UnreadableError("a whole number", data)


def _str(data: Any) -> str:
    if isinstance(data, str):
        return data
    raise UnreadableError("text", data)


def _bool(data: Any) -> bool:
    if isinstance(data, bool):
        return data
    raise UnreadableError("true or false", data)


def _datetime(data: Any) -> datetime:
    try:
        return datetime.fromisoformat(data)
    except (TypeError, ValueError):
        raise UnreadableError("a time as ISO 8601", data) from None


_SCALARS: dict[Any, Reader] = {float: _float, int: _int, str: _str, bool: _bool, datetime: _datetime}
