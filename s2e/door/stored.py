"""Stored specs: read, never judged again.

A spec was checked once, at submission, by the release of that day. Ranges tighten and names go, so a stored spec is
brought to today's shape by the upgraders of the versions in between, and read as it is. Answers that can no longer be
computed from it say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from s2e.data.declared.own import OwnData
from s2e.parts import DATASETS
from s2e.words import SPEC_VERSION, JobSpec, UnreadableError, read

Upgrader = Callable[[dict[str, Any]], dict[str, Any]]
BEFORE_2: Mapping[str, Mapping[str, Any]] = {"decoupling": {"floor": 0.0}, "sigua_sl": {"fewest_bad": 0}}
"""Settings of methods that version 1 did not have, at the value that trains as its release did."""
SEARCHERS_BEFORE_2 = ("model_newton", "model_newton_rung")
PLAN_BEFORE_2 = {"step": "torch", "test_every": 1}
"""Version 1 knew torch's step only, and measured test accuracy in every epoch."""
POLICIES_BEFORE_2 = {"free_every": 6, "replicate_every": 3, "round_effect": False, "start": "spread"}
"""Settings of these searchers, likewise."""


def _second(spec: dict[str, Any]) -> dict[str, Any]:
    """Version 1 took Decoupling's mean over however few samples and SIGUA_SL's fraction without a least sample, its
    comparisons had the first rules, and ``model_newton`` mixed its policies."""
    compare, report, search = spec.get("compare"), spec.get("report"), spec.get("search")
    if isinstance(report, Mapping):
        spec = spec | {"report": {"rules": 1, **report}}
    if isinstance(search, Mapping) and search.get("searcher") in SEARCHERS_BEFORE_2:
        params = search.get("params", {})
        settings = {**POLICIES_BEFORE_2, **params} if isinstance(params, Mapping) else params
        spec = spec | {"search": {**search, "params": settings}}
    if isinstance(plan := spec.get("plan"), Mapping):
        spec = spec | {"plan": {**PLAN_BEFORE_2, **plan}}
    entries = compare.get("entries") if isinstance(compare, Mapping) else None
    if isinstance(compare, Mapping) and isinstance(entries, list):
        spec = spec | {"compare": {**compare, "entries": [_with_settings(entry) for entry in entries]}}
    return spec | {"train": _with_settings(spec["train"])} if "train" in spec else spec


def _with_settings(section: Any) -> Any:
    """A section with a method and its params, which gets the settings of BEFORE_2."""
    if not isinstance(section, Mapping) or not isinstance(section.get("method"), str):
        return section
    more, params = BEFORE_2.get(section["method"], {}), section.get("params", {})
    return {**section, "params": {**more, **params}} if more and isinstance(params, Mapping) else section


UPGRADERS: Mapping[int, Upgrader] = {1: _second}
"""By version: makes the JSON of a spec of this version one of the next. A new version comes with its upgrader, and with
specs of the one before among the tests."""

OWN_BEFORE = {"label_case": "keep", "row_numbers": "keep"}
"""Settings of data of one's own that came within a version: the door writes them, so a spec without them is older."""

_SECTIONS = ("data", "train", "search", "report", "plan")
"""A spec is stored whole: without one of these, what is stored is something else."""


def read_job(data: Any, version: int) -> JobSpec:
    """The spec of a stored job. Raises UnreadableError for a later version than this release's, or a damaged spec."""
    spec = upgraded(data, version)
    spec |= {"data": data_as_before(spec["data"])} if "data" in spec else {}
    for section in _SECTIONS:
        if section not in spec:
            raise UnreadableError("a section of every stored spec", None, section)
    return read(JobSpec, spec)


def data_as_before(data: Any) -> Any:
    """The section ``data`` of a stored spec or a registered set: if it is data of one's own, with the settings that it
    was stored without, as it was read then."""
    if not isinstance(data, Mapping) or not isinstance(params := data.get("params"), Mapping):
        return data
    part = DATASETS.get(data.get("name", ""))
    if part is None or not issubclass(part, OwnData) or not params:
        return data
    before = {name: value for name, value in OWN_BEFORE.items() if hasattr(part, name)}
    return {**data, "params": {**before, **params}}


def upgraded(
    data: Any, version: int, upgraders: Mapping[int, Upgrader] = UPGRADERS, newest: int = SPEC_VERSION
) -> dict[str, Any]:
    """The JSON of a spec in the newest shape; ``data`` stays as it is. Raises UnreadableError."""
    if version > newest:
        raise UnreadableError(f"at most {newest}, the newest that this release knows", version, "spec_version")
    if not isinstance(data, Mapping):
        raise UnreadableError("an object", data)
    spec = dict(data)
    for old in range(version, newest):
        spec = upgraders[old](spec)
    return spec
