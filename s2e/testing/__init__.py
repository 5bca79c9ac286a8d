"""Contract suites: what every part promises, as tests that pytest collects in your own package.

    # tests/test_mine.py
    from s2e.testing import MethodContract

    class TestMine(MethodContract):
        method = "mine"  # the name it is registered under, or a list of names

``MethodContract``, ``NetworkContract``, ``DatasetContract``, ``SearcherContract`` and ``SpaceContract`` are the suites
that the built-in parts pass. Each says in its docstring what a subclass may set. They need pytest and hypothesis, which
the extra ``testing`` brings; all but those of searchers and spaces train, which needs the extra ``train`` too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from s2e.extras import needs

if TYPE_CHECKING:
    from s2e.testing.datasets import DatasetContract
    from s2e.testing.methods import MethodContract
    from s2e.testing.networks import NetworkContract
    from s2e.testing.searchers import SearcherContract
    from s2e.testing.spaces import SpaceContract

__all__ = ["DatasetContract", "MethodContract", "NetworkContract", "SearcherContract", "SpaceContract"]

_MODULES = {
    "DatasetContract": "datasets",
    "MethodContract": "methods",
    "NetworkContract": "networks",
    "SearcherContract": "searchers",
    "SpaceContract": "spaces",
}
with needs("testing"):
    import pytest
# Failing assertions of the suites then show their values, as those of a test file do.
pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _MODULES.values()))


def __getattr__(name: str) -> Any:
    """A suite, imported when it is asked for: that of a searcher needs no torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs("testing"), needs("train"):
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
