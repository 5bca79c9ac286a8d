"""Search rules and distributions: numpy and scipy only, so the service imports them without torch."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _SearchPackage(ModuleType):
    """``s2e.search(job)`` is the name that users know for a whole search, and the rules live in a package of the same
    name: Python hands out the package, so the package can be called. The rules know nothing of it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return import_module("s2e.local").search(*args, **kwargs)


sys.modules[__name__].__class__ = _SearchPackage
