"""Facts of parts, held to the types that their kind declares for them."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints


@cache
def fact_types(base: type) -> dict[str, Any]:
    """Fact -> type, of every class variable that a kind of part declares."""
    hints = get_type_hints(base)
    return {fact: get_args(kind)[0] for fact, kind in hints.items() if get_origin(kind) is ClassVar}


def set_facts(cls: type, base: type, facts: Mapping[str, Any]) -> str:
    """Give ``cls`` its ``facts``. The first fact that is unknown or of another type, also one that the class says
    itself; or nothing."""
    known = fact_types(base)
    if unknown := sorted(set(facts) - set(known)):
        return f"{unknown[0]} is not a fact of a {base.__name__}"
    for fact, kind in known.items():
        value = as_fact(facts.get(fact, getattr(cls, fact)), kind)
        if not fits(value, kind):
            return f"{fact} = {repr(value)[:80]} is not {inspect.formatannotation(kind)}"
        if fact in facts:
            setattr(cls, fact, value)
    return ""


def as_fact(value: Any, kind: Any) -> Any:
    """A list as the tuple, any collection as the frozen set, that is asked for."""
    if get_origin(kind) is frozenset and isinstance(value, list | tuple | set):
        return frozenset(value)
    return tuple(value) if isinstance(value, list) else value


def fits(value: Any, kind: Any) -> bool:
    """True if ``value`` is of a type, ``int | None`` or ``Mapping[str, float]``, whose parts are plain."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in args)
    if origin is tuple and args[-1] is not Ellipsis:
        return isinstance(value, tuple) and len(value) == len(args) and all(map(fits, value, args))
    if origin in (tuple, frozenset):
        return isinstance(value, origin) and all(fits(item, args[0]) for item in value)
    if origin is not None:
        return isinstance(value, Mapping) and all(fits(k, args[0]) and fits(v, args[1]) for k, v in value.items())
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return kind is Any or isinstance(value, kind)
