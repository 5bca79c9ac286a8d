"""The arrows of the design: service -> workers -> s2e, never back; and what may be imported where."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "s2e": {"workers", "service", "ray", "sqlalchemy", "fastapi", "httpx", "pydantic"},
    "s2e/search": {"torch", "torchvision", "workers", "service", "ray", "sqlalchemy"},
    "workers": {"service", "sqlalchemy", "fastapi"},
    "service/store": {"fastapi", "ray", "torch", "workers.ray_backend"},
    "service/api/routes": {"sqlalchemy.orm.Query", "ray", "torch"},
}


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


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("service.api.app", {"torch", "ray", "torchvision", "sklearn", "optuna", "cmaes"}),
        ("service.cli.main", {"torch", "ray", "torchvision", "sklearn"}),
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
