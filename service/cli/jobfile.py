"""Job files: TOML or JSON."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any

from s2e.door import parse_job
from s2e.words import JobSpec, Problem, SpecError


def read_job(path: Path) -> JobSpec:
    """The job in a file, for a run in this process. Raises SpecError."""
    return parse_job(read_file(path))


def read_file(path: Path) -> Any:
    """The plain JSON in a ``.toml`` or ``.json`` file, for a service to judge. Raises SpecError."""
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(Problem(str(path), str(error)[:200], "a readable TOML file (or JSON, named .json)")) from error
    if not isinstance(data, dict):
        raise SpecError(Problem(str(path), str(data)[:80], "must be an object"))
    if problems := list(_not_json(data, "")):
        raise SpecError(*problems)
    return data


def _not_json(value: Any, path: str) -> Iterator[Problem]:
    """What TOML has and JSON has not: dates, and numbers that are not finite."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _not_json(item, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _not_json(item, f"{path}[{i}]")
    elif isinstance(value, date | time) or (isinstance(value, float) and not math.isfinite(value)):
        yield Problem(path, str(value), "text, a finite number, true or false")
