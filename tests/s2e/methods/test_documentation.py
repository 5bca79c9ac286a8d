"""docs/methods.md names every method, and none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

from s2e.parts import METHODS

DOCUMENT = Path(__file__).parents[3] / "docs" / "methods.md"


def test_the_tables_name_exactly_the_methods_of_the_catalog():
    rows = [line.split("|")[1] for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert sorted(name for cell in rows for name in re.findall(r"`(\w+)`", cell)) == sorted(METHODS)
