"""The arrows of the design: service -> workers -> s2e, never back; and what may be imported where."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "s2e": {"workers", "service", "sqlalchemy", "fastapi", "pydantic"},
    "s2e/search": {"torch", "torchvision", "workers", "service", "ray", "sqlalchemy"},
    "workers": {"service", "sqlalchemy", "fastapi"},
    "service/store": {"fastapi", "ray", "torch", "workers.ray_backend"},
    "service/api/routes": {"sqlalchemy.orm.Query", "ray", "torch"},
}


ONLY_BELOW = {"httpx": "s2e/client", "ray": "s2e/ecosystem", "optuna": "s2e/ecosystem"}
"""Libraries of other programs' users inside s2e, each in one place."""


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_no_arrow_points_back(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = {
        (str(path.relative_to(ROOT)), name)
        for path in files
        for name in imports_of(path)
        for banned in FORBIDDEN[folder]
        if name == banned or name.startswith(banned + ".")
    }
    assert not wrong


def test_each_library_of_others_has_one_place_in_s2e() -> None:
    wrong = {
        (str(path.relative_to(ROOT)), name)
        for path in sorted((ROOT / "s2e").rglob("*.py"))
        for name in imports_of(path)
        if (place := ONLY_BELOW.get(name.partition(".")[0])) and not path.is_relative_to(ROOT / place)
    }
    assert not wrong


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("s2e", {"numpy", "httpx", "rich"}),
        ("s2e.client", {"numpy", "scipy", "pydantic", "service", "workers", "torch"}),
        ("service.api.app", {"torch", "ray", "torchvision", "sklearn", "optuna", "cmaes"}),
        (
            "service.cli.main",
            {"torch", "ray", "torchvision", "sklearn", "sqlalchemy", "fastapi", "pydantic", "uvicorn"},
        ),
        ("s2e.jobs.loop", {"torch", "ray", "sqlalchemy", "optuna", "cmaes"}),
        ("s2e.train.trial", {"ray", "sqlalchemy", "pydantic", "fastapi", "sklearn", "torchvision", "safetensors"}),
    ],
)
def test_importing_stays_light(module: str, banned: set[str]) -> None:
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not banned & set(done.stdout.split())


def test_nothing_names_a_machine() -> None:
    """No path of one machine, and no unfinished marker, in what is committed."""
    words = ["/" + "work/", "/" + "root/", "TO" + "DO", "FIX" + "ME"]
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False, cwd=ROOT).stdout.split()
    texts = [p for p in listed if p.endswith((".py", ".md", ".toml", ".yaml", ".js", ".html", ".sh", "Makefile"))]
    assert not [(p, w) for p in texts if "vendor/" not in p for w in words if w in (ROOT / p).read_text()]
