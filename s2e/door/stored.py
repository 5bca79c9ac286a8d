"""Stored specs: read, never judged again.

A spec was checked once, at submission, by the release of that day. Ranges tighten and names go, so a stored spec is
brought to today's shape by the upgraders of the versions in between, and read as it is; what cannot be computed of it
any more is said where it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from s2e.words import SPEC_VERSION, JobSpec, UnreadableError, read

Upgrader = Callable[[dict[str, Any]], dict[str, Any]]
UPGRADERS: Mapping[int, Upgrader] = {}
"""By version: makes the JSON of a spec of this version one of the next. A new version comes with its upgrader, and with
specs of the one before among the tests."""


_SECTIONS = ("data", "train", "search", "report", "plan")
"""A spec is stored whole: without one of these, what is stored is something else."""


def read_job(data: Any, version: int) -> JobSpec:
    """The spec of a stored job. Raises UnreadableError for a later version than this release's, or a damaged spec."""
    spec = upgraded(data, version)
    for section in _SECTIONS:
        if section not in spec:
            raise UnreadableError("a section of every stored spec", None, section)
    return read(JobSpec, spec)


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
