"""The dashboard's files: vendored code is what its manifest says, and nothing in them weakens the content policy."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

import service

DASHBOARD = Path(service.__file__).parent / "dashboard"
VENDOR = DASHBOARD / "vendor"
PAGES = sorted(DASHBOARD.glob("*.html"))
MODULES = sorted(DASHBOARD.glob("*.js"))


def test_vendored_files_have_the_hashes_of_the_manifest() -> None:
    entries = json.loads((VENDOR / "MANIFEST.json").read_text())
    hashes = {name: digest for entry in entries for name, digest in entry["sha256"].items()}
    hash_of = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    hash_of.pop("MANIFEST.json")
    assert hash_of == hashes
    assert all(entry["version"] and entry["licence"] for entry in entries)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_have_no_inline_script_or_style(page: Path) -> None:
    text = page.read_text()
    assert "<style" not in text
    assert not re.search(r"\s(style|on[a-z]+)\s*=", text)
    assert all('src="/assets/' in tag for tag in re.findall(r"<script[^>]*>", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_ask_only_for_files_that_are_there(page: Path) -> None:
    names = re.findall(r'(?:src|href)="/assets/([^"]+)"', page.read_text())
    assert len(names) >= 3
    assert [name for name in names if not (DASHBOARD / name).is_file()] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_modules_write_text_only_as_text(module: Path) -> None:
    text = module.read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), "an address of another host"
    imported = re.findall(r'from "\./([^"]+)"', text)
    assert [name for name in imported if not (DASHBOARD / name).is_file()] == []
