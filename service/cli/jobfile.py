"""Job files: TOML or JSON."""

from __future__ import annotations

import json
import math
import tomllib
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
    return _plain(data)


def _plain(value: Any) -> Any:
    """What TOML has and JSON has not, dates and numbers that are not finite, as text for a validator to refuse."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    is_json = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)) or value is None
    return value if is_json else str(value)
