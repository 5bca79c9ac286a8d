"""The tutorials run as they stand: their Python, in an empty folder, one page after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGES = Path(__file__).parents[1] / "docs" / "tutorials"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAID = {"your-table": "accuracy against trusted labels", "your-images": "accuracy against the given labels"}
"""Title of the accuracy that the page promises."""


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(path.stem for path in PAGES.glob("*.md")))
def test_a_page_runs_and_its_model_is_right_about_new_rows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S2E_CACHE_ROOT", str(tmp_path / "cache"))
    blocks = BLOCK.findall((PAGES / f"{page}.md").read_text(encoding="utf-8"))
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, f"{page}.md", "exec"), names)
    if page in SAID:
        assert names["report"].accuracy == SAID[page]
    assert names["right"] > 0.8
