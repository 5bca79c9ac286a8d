"""Packages that only some rules need: imported when such a rule is used, refused by name where they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from s2e.words import SearchError


def optional(package: str, searcher: str) -> Any:
    """The package. Raises SearchError, with the way to install it, where it is missing."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise SearchError(f"searcher {searcher} needs the package {package}: pip install 's2e[train]'") from error
