"""Job files: TOML or JSON, read by the same validator as the REST API."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from s2e.door import parse_job
from s2e.words import JobSpec, Problem, SpecError


def read_job(path: Path) -> JobSpec:
    """The job in a ``.toml`` or ``.json`` file. Raises SpecError."""
    try:
        text = path.read_text(encoding="utf-8")
        data: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(Problem(str(path), str(error)[:200], "a readable TOML file (or JSON, named .json)")) from error
    return parse_job(data)
