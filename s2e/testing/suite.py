"""Shared by the contract suites: each runs for the names that a subclass gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest


class Contract:
    """Tests that take the name of a part as the argument ``kind``, for each name in the attribute of the same name."""

    kind: ClassVar[str]

    @classmethod
    def names(cls) -> Sequence[str]:
        """The parts under test."""
        named = getattr(cls, cls.kind, ())
        return (named,) if isinstance(named, str) else tuple(named)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each name; all those of one name in a row, so that what they read is read once."""
        if self.kind in metafunc.fixturenames:
            if not self.names():
                raise pytest.UsageError(f"{type(self).__name__} sets no {self.kind}: a registered name, or a list")
            metafunc.parametrize(self.kind, self.names(), scope="class")
