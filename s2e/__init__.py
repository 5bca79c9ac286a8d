"""S2E: searching the keep-rate schedule R(t) for learning with noisy labels.

    report = s2e.search("job.toml")             a whole search in this process
    report = s2e.compare({...})                 methods against each other
    report = s2e.auto({...})                    a method chosen among many
    issues = s2e.find_label_issues(X, y)        which of your labels are wrong
    files  = s2e.from_files("images", "~/flowers")   your own data, for all of these
    model  = s2e.load_model("....safetensors")  a trained network, as a plain torch module
    s2e.client.S2EClient                        the same jobs on a service
    s2e.ecosystem.optuna, s2e.ecosystem.ray_tune

Nothing is loaded before it is used, and nothing in this package knows SQL or Ray.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2e.artifacts import load_model as load_model
    from s2e.labels.audit import find_label_issues as find_label_issues
    from s2e.local import auto as auto
    from s2e.local import compare as compare
    from s2e.local import search as search
    from s2e.own_files import from_files as from_files

__version__ = "0.1.0"
_LATE = {
    "auto": "s2e.local",
    "compare": "s2e.local",
    "find_label_issues": "s2e.labels.audit",
    "from_files": "s2e.own_files",
    "load_model": "s2e.artifacts",
}
_PACKAGES = ("client", "ecosystem", "search")
"""Importable as ``s2e.<name>`` without an import of their own; ``s2e.search`` is a function too, see there."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    if name in _PACKAGES:
        return import_module(f"s2e.{name}")
    raise AttributeError(f"module 's2e' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATE, *_PACKAGES])
