"""Job files: TOML or, named .json, JSON."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2e.words import Problem, SpecError


def read_job_file(path: str | Path) -> Mapping[str, Any]:
    """A job as it stands in a file, not yet checked. Raises SpecError for a file that cannot be read."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        data: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(Problem(str(path), str(error)[:200], "a readable TOML file (or JSON, named .json)")) from error
    if not isinstance(data, Mapping):
        raise SpecError(Problem(str(path), type(data).__name__, "a job: an object of fields"))
    return data
