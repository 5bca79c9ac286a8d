"""Each number that is measured or reported, declared once: as a field made with :func:`number`.

The column of the store, the field of the API and its OpenAPI text, the series of a trial, the menus of the dashboard
and the heads of exported tables follow from the declaration.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from s2e.words.fields import param

_BOUNDS: Mapping[str, dict[str, float]] = {"share": {"ge": 0, "le": 1}, "number": {}}


@dataclasses.dataclass(frozen=True)
class Number:
    """The meaning of a number, for code that saves, sends or shows it."""

    name: str
    title: str
    """For people: the head of a column, a line of a menu."""
    unit: str
    """``share``: in [0, 1], shown in per cent; ``number``: anything finite."""
    searched: bool
    """True if a search may see it: validation only. The others are measured and shown."""
    over: str
    """The epochs a trial's number averages: ``tail`` (those of the objective), ``last_ten``, or empty: none."""
    live: bool
    """True if every event of the stream carries it."""
    networks: bool
    """True if each network of a trial has one of its own beside their mean."""
    source: str
    """The path of a reported number below TrialResult; empty: its own field."""
    doc: str


def number(
    default: Any = dataclasses.MISSING,
    *,
    title: str,
    doc: str,
    unit: str = "share",
    searched: bool = False,
    over: str = "",
    live: bool = False,
    networks: bool = False,
    source: str = "",
) -> Any:
    """A dataclass field that holds a number; None stands for one that was not measured or is not finite."""
    declared = Number("", title, unit, searched, over, live, networks, source, doc)
    return param(default, doc=doc, number=declared, **_BOUNDS[unit])


@functools.cache
def numbers_of(cls: type) -> tuple[Number, ...]:
    """The numbers among the fields of a dataclass, in the order of their declaration."""
    return tuple(
        dataclasses.replace(f.metadata["number"], name=f.name)
        for f in dataclasses.fields(cls)
        if "number" in f.metadata
    )


def value_at(result: Any, path: str) -> float | None:
    """The number at a dotted path below ``result``; None where something on the way is None."""
    for name in path.split("."):
        if result is None:
            return None
        result = getattr(result, name)
    return result  # type: ignore[no-any-return]
