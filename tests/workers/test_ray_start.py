"""Settings of Ray before it is imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.ray_start import set_environment

NAMES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_USAGE_STATS_ENABLED")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray not yet imported, none of its settings made; everything put back afterwards."""
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if k not in NAMES})


def test_a_cluster_of_our_own_gets_a_fresh_secret_token_and_reports_to_nobody() -> None:
    set_environment(None)
    first = os.environ.pop("RAY_AUTH_TOKEN")
    set_environment(None)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert len(first) == 64
    assert os.environ["RAY_AUTH_TOKEN"] != first


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({}, "disabled"),
        ({"RAY_AUTH_TOKEN_PATH": "/run/secrets/ray"}, "token"),
        ({"RAY_AUTH_TOKEN": "x"}, "token"),
        ({"RAY_AUTH_TOKEN": "x", "RAY_AUTH_MODE": "disabled"}, "disabled"),
    ],
)
def test_joining_a_cluster_uses_its_token_and_invents_none(given: dict[str, str], mode: str) -> None:
    os.environ.update(given)
    set_environment("head:6399")
    assert os.environ["RAY_AUTH_MODE"] == mode
    assert os.environ.get("RAY_AUTH_TOKEN") == given.get("RAY_AUTH_TOKEN")


def test_what_other_clusters_left_is_forgotten_and_tuning_stands() -> None:
    os.environ.update(
        {
            "RAY_ADDRESS": "10.0.0.1:6379", "RAY_JOB_ID": "01000000", "RAY_NAMESPACE": "theirs",
            "RAY_SESSION_DIR": "/x", "RAY_health_check_period_ms": "1000", "RAY_USE_TLS": "0",
        }
    )  # fmt: skip
    set_environment(None)
    left = {name for name in os.environ if name.startswith("RAY_")} - set(NAMES)
    assert left >= {"RAY_health_check_period_ms", "RAY_USE_TLS"}
    assert not left & {"RAY_ADDRESS", "RAY_JOB_ID", "RAY_NAMESPACE", "RAY_SESSION_DIR"}


STALE = "127.0.0.1:1"
"""Nobody listens there."""
PROGRAM = """
import os, sys, json
from pathlib import Path
from workers.ray_start import connect

connection = connect(None, num_cpus=1, num_gpus=0, object_store_bytes=100 * 2**20, pass_on=["CHOSEN"])
environment = connection.ray.remote(lambda: dict(os.environ))
seen = connection.ray.get(environment.remote())
here = dict(os.environ)
folders = [str(path) for path in Path(os.environ["TMPDIR"]).glob("s2e-ray-*")]
connection.close()
print(json.dumps({"trainer": seen, "here": here, "folders": folders}))
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Ray's sockets leave no room for a test's long folder."""
    folder = Path(tempfile.mkdtemp(prefix="s2e-t-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_a_cluster_of_our_own_follows_no_stale_file_and_tells_trainers_no_secret(short_folder: Path) -> None:
    """A process of its own under a stale ``ray_current_cluster``, foreign variables, and secrets."""
    pytest.importorskip("ray")
    (short_folder / "ray").mkdir()
    (short_folder / "ray" / "ray_current_cluster").write_text(STALE)
    left_behind = short_folder / "s2e-ray-of-a-killed-process"
    left_behind.mkdir()
    (left_behind / "lock").touch()
    secrets = {"S2E_DATABASE_URL": "postgresql://s2e:hidden@db/s2e", "S2E_API_KEY": "hidden", "PGPASSWORD": "hidden"}
    foreign = {"RAY_ADDRESS": STALE, "RAY_TMPDIR": str(short_folder), "TMPDIR": str(short_folder)}
    told = {"CHOSEN": "yes", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "S2E_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=clean | foreign | secrets | told,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert "hidden" not in "".join(seen["trainer"].values())
    assert not set(secrets) & set(seen["trainer"])
    assert {name: seen["trainer"][name] for name in told} == told
    assert {name: seen["here"][name] for name in secrets} == secrets
    assert len(seen["folders"]) == 1  # and not the one left behind
    assert not list(short_folder.glob("s2e-ray-*"))


def test_once_ray_is_imported_its_mode_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", sys)
    set_environment(None)
    assert "RAY_AUTH_MODE" not in os.environ
