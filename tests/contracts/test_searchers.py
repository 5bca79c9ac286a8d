"""The built-in searchers keep the contract of s2e/testing, as one of another package would."""

from __future__ import annotations

from s2e.parts import SEARCHERS
from s2e.testing import SearcherContract


class TestSearchers(SearcherContract):
    searcher = tuple(SEARCHERS)
    keeps_theta = frozenset({"asha", "cmaes", "gp", "grid", "hyperband", "random", "tpe"})
    without_randomness = frozenset({"grid"})
    n_rounds = {"gp": 2}  # noqa: RUF012 - of the class
