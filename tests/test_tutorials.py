"""The tutorials run as they stand: their Python, in an empty folder, one page after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from s2e.data.torchvision_guard import models

PAGES = Path(__file__).parents[1] / "docs" / "tutorials"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAID = {"your-table": "accuracy against trusted labels", "your-images": "accuracy against the given labels"}
"""Title of the accuracy that the page promises."""


@pytest.mark.others
@pytest.mark.slow
@pytest.mark.xdist_group("others")
@pytest.mark.filterwarnings("ignore")  # of theirs, about torch and each other
@pytest.mark.parametrize("package", ["lightning", "transformers"])
def test_the_schedule_works_in_trainers_of_others(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's schedule and data, and its own lines for each of them."""
    models()  # both import torchvision, which does not import beside every torch
    pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    text = (PAGES / "your-training-loop.md").read_text(encoding="utf-8")
    (theirs,) = re.findall(rf"^```python {package}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for block in (BLOCK.findall(text)[0], theirs):
        exec(compile(block, package, "exec"), names)
    right = (names["net"](names["x"][1400:]).argmax(1) == names["truth"][1400:]).float().mean()
    assert right > 0.8


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
