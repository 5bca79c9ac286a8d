"""The demo: it says what is wrong, waits for nothing for ever, and leaves nothing running however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = f"""
import sys
sys.path.insert(0, {str(ROOT / "examples")!r})
import demo
demo.PATIENCE_S = 25.0
demo.main()
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


def start(home: Path, **settings: str) -> subprocess.Popen[str]:
    """The demo without settings of its surroundings, in the folder of its test."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("S2E_", "RAY_"))}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--home", str(home)],
        cwd=home.parent,
        env=ours | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def services_of(home: Path) -> list[psutil.Process]:
    """Every process that was started for the service in ``home``."""
    alike = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("S2E_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                alike.append(process)
        except psutil.Error:
            continue
    return alike


def assert_gone(home: Path) -> None:
    deadline_s = time.monotonic() + 30
    while left := services_of(home):
        assert time.monotonic() < deadline_s, f"still running: {[process.cmdline() for process in left]}"
        time.sleep(0.2)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    for process in services_of(tmp_path / "home"):
        process.kill()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_demo_that_is_ended_leaves_nothing_running(home: Path, end: signal.Signals) -> None:
    process = start(home, S2E_BACKEND="inline")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Submitted"):
            break
    assert len(services_of(home)) >= 3  # serve, api, dispatcher
    process.send_signal(end)
    process.wait(60)
    process.stdout.close()
    assert_gone(home)


@pytest.mark.ray
def test_a_demo_without_a_cluster_ends_and_says_what_is_wrong(home: Path) -> None:
    """S2E_RAY_ADDRESS names a cluster that is not there."""
    process = start(home, S2E_RAY_ADDRESS="127.0.0.1:1")
    told, _ = process.communicate(timeout=150)
    assert process.returncode == 1
    assert "the service is not ready after 25 s: the dispatcher does not work: " in told
    assert "serve.log" in told
    assert_gone(home)
