"""A package of somebody else (examples/plugin), built, installed beside the wheel in an environment of its own, and
used: its parts pass their contracts, train in one call, and train on Ray for a service. Another package, broken in
three ways, lies beside it and harms nobody."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s2e.client import S2EClient
from s2e.client.errors import InvalidSpec

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "examples" / "plugin"
JOB = tomllib.loads((PLUGIN / "job.toml").read_text())
PATIENCE_S = 120.0
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]
BROKEN = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "s2e-broken"
version = "2.0"
[project.entry-points."s2e.methods"]
needs_more = "s2e_broken.needs_more:Method"
coteaching = "s2e_broken:CoTeaching"
no_default = "s2e_broken:NoDefault"
""",
    "s2e_broken/needs_more.py": "import a_package_that_is_not_there\n",
    "s2e_broken/__init__.py": '''
from s2e.parts import MethodPart, method, param

@method("coteaching", rule="s2e_broken.rules:CoTeaching")
class CoTeaching(MethodPart):
    """A name that is taken."""

@method("no_default", rule="s2e_broken.rules:NoDefault")
class NoDefault(MethodPart):
    """A setting without a default."""
    strength: float = param(ge=0, doc="of it")
''',
}
REASONS = {
    "needs_more": "No module named 'a_package_that_is_not_there'",
    "coteaching": "the name is taken by s2e",
    "no_default": "parameter strength has no default",
}
SEARCH = """
import json, sys, s2e
from s2e.words import to_json
print(json.dumps(to_json(s2e.search(sys.argv[1], progress=False))))
"""


def surroundings(**more: str) -> dict[str, str]:
    """Without settings of this service, of Ray, or of where Python looks."""
    outside = ("S2E_", "RAY_", "PYTHON")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    # A pure wheel: compiling takes longer than all the rest, and the editable install of CI has compiled it already.
    return ours | {"RAY_USAGE_STATS_ENABLED": "0", "S2E_NATIVE": "0", **more}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=surroundings(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the three wheels. The libraries are those of this one, so that nothing is fetched."""
    folder = tmp_path_factory.mktemp("plugin")
    for name, text in BROKEN.items():
        (folder / "broken" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "broken" / name).write_text(text)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    sources = (ROOT, PLUGIN, folder / "broken")
    offline = ("--quiet", "--no-deps", "--no-index")
    run(*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", folder / "dist", *sources, cwd=folder)
    venv.create(folder / "env", symlinks=True)
    wheels = sorted((folder / "dist").glob("*.whl"))
    assert [wheel.name.partition("-")[0] for wheel in wheels] == ["s2e", "s2e_broken", "s2e_example"]
    run(*pip, "--python", folder / "env" / "bin" / "python", "install", *offline, *wheels, cwd=folder)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    # A line of a .pth adds a folder, and leaves what stands in the .pth files of that folder alone: no editable s2e.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    shutil.copytree(PLUGIN / "tests", folder / "tests")
    shutil.copy(PLUGIN / "job.toml", folder)
    return folder


def test_it_is_the_wheel_that_is_used(environment: Path) -> None:
    print_file = "import s2e, s2e_example; print(s2e.__file__, s2e_example.__file__)"
    paths = run(environment / "env" / "bin" / "python", "-c", print_file, cwd=environment).split()
    assert all(path.startswith(str(environment / "env")) for path in paths)


def test_its_parts_pass_their_contracts(environment: Path) -> None:
    pytest_ = (environment / "env" / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    said = run(*pytest_, "tests", cwd=environment)
    n_passed = int(said.rpartition(" passed")[0].split()[-1])
    assert n_passed > 60, said


def test_parts_are_listed_with_their_package_and_broken_ones_with_their_reason(environment: Path) -> None:
    s2e = environment / "env" / "bin" / "s2e"
    told = {kind: " ".join(run(s2e, "list", kind, cwd=environment).split()) for kind in ("methods", "spaces")}
    assert "s2e-example 0.1.0" in told["methods"]
    assert "running mean of the loss" in told["methods"]
    assert "falls linearly" in told["spaces"]
    for name, reason in REASONS.items():
        assert name in told["methods"]
        assert reason in told["methods"]


@pytest.fixture
def client(environment: Path, tmp_path: Path) -> Iterator[S2EClient]:
    """A service, started from the environment, in a folder with a ``service/`` and a ``workers.py`` of one's own. Its
    Ray rests before the first job comes."""
    for own in (tmp_path / "service" / "__init__.py", tmp_path / "workers.py"):
        own.parent.mkdir(exist_ok=True)
        own.write_text("raise RuntimeError('the user\\'s own module was imported')\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [environment / "env" / "bin" / "s2e", "serve"], cwd=tmp_path, stdout=log, stderr=log,
            env=surroundings(S2E_HOME=str(tmp_path / "home"), S2E_PORT=str(port), S2E_REST_S="0.5"),
        )  # fmt: skip
        try:
            with S2EClient(f"http://127.0.0.1:{port}") as client:
                deadline_s = time.monotonic() + PATIENCE_S
                while "Ray rests" not in (tmp_path / "log").read_text():
                    assert time.monotonic() < deadline_s, (tmp_path / "log").read_text()[-4000:]
                    time.sleep(0.1)
                assert client.ready()
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    said = (tmp_path / "log").read_text()
    assert "a job has come: Ray starts" in said
    assert "starts again" not in said
    assert "own module" not in said


def search_in_process(environment: Path) -> Any:
    python = environment / "env" / "bin" / "python"
    return json.loads(run(python, "-c", SEARCH, "job.toml", cwd=environment).splitlines()[-1])


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_a_search_with_all_five_parts_is_the_same_in_one_call_and_on_ray(environment: Path, client: S2EClient) -> None:
    for name, reason in REASONS.items():
        if name != "coteaching":  # which is ours, and goes on as before
            with pytest.raises(InvalidSpec) as refused:
                client.submit({"train": {"method": name}})
            (problem,) = refused.value.problems
            assert problem.field == "train.method"
            assert reason in problem.allowed
    with pytest.raises(InvalidSpec, match=r"train\.params\.memory = 0\.95: <= 0\.9 for fewer than 10 epochs"):
        client.submit({**JOB, "train": {**JOB["train"], "params": {"memory": 0.95}}})

    job = client.submit(JOB)
    expected = search_in_process(environment)
    assert client.wait(job.id).state == "completed"
    report = client.report(job.id)
    assert list(report.keep_rate) == expected["keep_rate"]
    assert [list(row.test_accuracy) for row in report.rows] == [row["test_accuracy"] for row in expected["rows"]]
    assert min(accuracy for row in report.rows for accuracy in row.test_accuracy) > 0.5  # of four classes
    rounds = {one.round: one for one in client.rounds(job.id)}
    assert rounds[0].theta == (1.0,) * 4
    assert rounds[1].theta != rounds[0].theta
