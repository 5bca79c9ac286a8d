"""Extras by role: a command or function whose libraries are not installed says which extra brings them, in one line."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from s2e.extras import EXTRAS
from service.cli.options import BAD_INPUT, UNREACHABLE

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
MODULES = {  # distribution -> module, where they are called differently
    "pillow": "PIL",
    "psycopg": "psycopg",
    "pydantic-settings": "pydantic_settings",
    "ray": "ray",
    "prometheus-client": "prometheus_client",
    "scikit-learn": "sklearn",
    "sqlalchemy": "sqlalchemy",
}


def declared(extra: str) -> set[str]:
    """The modules of an extra of pyproject.toml, those of the extras it names included."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    modules: set[str] = set()
    for requirement in extras[extra]:
        name = re.split(r"[\[<>=]", requirement)[0]
        if name == "s2e":
            for inner in re.findall(r"\[(.*)\]", requirement)[0].split(","):
                modules |= declared(inner)
        else:
            modules.add(MODULES.get(name, name))
    return modules


@pytest.mark.parametrize("extra", ["data", "remote", "train", "server", "worker", "cleanlab", "testing"])
def test_the_modules_of_an_extra_are_those_of_pyproject(extra: str) -> None:
    assert set(EXTRAS[extra]) == declared(extra)


def test_all_is_everything_that_runs() -> None:
    assert declared("all") == declared("data") | declared("remote") | declared("server") | declared("worker")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A folder with the libraries that an installation with some extras has, and no others."""

    @cache
    def install(*extras: str) -> Path:
        folder = tmp_path_factory.mktemp("-".join(("site", *extras)))
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        asked = [*project["dependencies"], *(one for e in extras for one in project["optional-dependencies"][e])]
        for one in closure(asked):
            for top in {file.parts[0] for file in one.files or () if file.parts[0] != ".."}:
                link = folder / top
                if not link.exists() and top != "__pycache__":
                    link.symlink_to(Path(str(one.locate_file(top))))
        return folder

    return install


def closure(requirements: Iterable[str]) -> list[Distribution]:
    """The distributions that these requirements bring, with all that those need."""
    seen: dict[str, Distribution] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or name == "s2e":
            continue
        seen[name] = distribution(name)
        extras = [*requirement.extras, ""]
        needed = [Requirement(text) for text in seen[name].requires or ()]
        waiting += [one for one in needed if not one.marker or any(one.marker.evaluate({"extra": e}) for e in extras)]
    return list(seen.values())


def python(site: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Code in a process that finds this package and the libraries of ``site`` only."""
    paths = [str(ROOT), str(site)]
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {paths!r}; {code}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def command_line(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(site, f"from service.cli.main import main; main({list(arguments)!r})")


@pytest.mark.parametrize(
    ("extras", "command", "missing"),
    [
        ((), "serve", "server"),
        ((), "api", "server"),
        ((), "migrate", "server"),
        ((), "openapi", "server"),
        ((), "dispatcher", "worker"),
        ((), "search", "train"),
        ((), "estimate-noise", "train"),
        (("server",), "serve", "worker"),
        (("server",), "dispatcher", "worker"),
        (("server", "train"), "serve", "worker"),
    ],
)
def test_a_command_names_the_extra_it_misses(
    installed: Callable[..., Path], extras: tuple[str, ...], command: str, missing: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("S2E_HOME", str(tmp_path))
    site = installed(*extras)
    if command == "dispatcher" and extras:
        assert command_line(site, "migrate").returncode == 0
    file = [str(ROOT / "examples" / "digits.toml")] if command in ("search", "estimate-noise") else []
    done = command_line(site, command, *file)
    assert done.returncode == BAD_INPUT, done.stderr
    assert done.stderr == f"this needs the extra '{missing}': pip install 's2e[{missing}]'\n"


def test_the_base_installation_lists_teaches_and_speaks_to_a_server(installed: Callable[..., Path]) -> None:
    site = installed()
    assert {"torch", "ray", "sqlalchemy", "fastapi", "optuna"}.isdisjoint(path.name for path in site.iterdir())
    assert command_line(site, "--help").returncode == 0
    assert "coteaching" in command_line(site, "list", "methods").stdout
    done = command_line(site, "submit", str(ROOT / "examples" / "digits.toml"), "--url", "http://127.0.0.1:9")
    assert (done.returncode, "no service answers" in done.stderr) == (UNREACHABLE, True)


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("import s2e; s2e.search({}, progress=False)", "train"),
        ("import s2e; s2e.compare({'compare': {'entries': [{'method': 'gce'}]}})", "train"),
        ("import s2e; s2e.load_model('nosuch.safetensors')", "train"),
        ("import s2e.ecosystem.optuna", "train"),
        ("import s2e.sklearn", "train"),
        ("import s2e.networks.any_module", "train"),
        ("import s2e.testing", "testing"),
        ("import sys; sys.modules['hypothesis'] = None; from s2e.testing import SearcherContract", "testing"),
        ("import s2e.ecosystem.ray_tune", "tune"),
    ],
)
def test_a_function_names_the_extra_it_misses(installed: Callable[..., Path], code: str, missing: str) -> None:
    done = python(installed("testing") if "hypothesis" in code else installed(), code)
    last = done.stderr.strip().splitlines()[-1]
    said = f"this needs the extra '{missing}': pip install 's2e[{missing}]'"
    assert last == f"s2e.words.errors.MissingExtraError: {said}"
