"""The documents name every part that there is, and none that is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from s2e.parts import REGISTRIES

ROOT = Path(__file__).parents[1]
ROWS = {"networks": "networks", "data": "datasets", "noise": "noise", "searchers": "searchers", "spaces": "spaces"}
"""First cell of a row in the README's table of names -> the registry it lists."""


def cells(heading: str) -> dict[str, str]:
    """First cell -> the others, of the README's table below a row that starts with ``heading``."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index(f"| {heading} |") :].partition("\n\n")[0].splitlines()[2:]
    return {first.strip(): rest for first, rest in (line.strip("|").split("|", 1) for line in table)}


def named(cell: str) -> set[str]:
    """Plain names in code style; commands, fields and links are none."""
    return {name.partition(":")[0] for name in re.findall(r"`([a-z][a-z0-9_]*(?::<name>)?)`", cell)}


@pytest.mark.parametrize("row", ROWS)
def test_the_readme_names_every_part(row: str) -> None:
    assert named(cells("what")[row]) == set(REGISTRIES[ROWS[row]])


def test_the_readme_names_every_method() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index("| group | methods") :].partition("\n\n")[0]
    assert named(table) == set(REGISTRIES["methods"])


def test_the_page_of_spaces_names_every_space() -> None:
    text = (ROOT / "docs" / "spaces.md").read_text(encoding="utf-8")
    assert named(text) >= set(REGISTRIES["spaces"])
