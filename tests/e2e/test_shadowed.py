"""A folder that holds a ``service/`` and a ``workers.py`` of the user's own: what is started there, or connects a Ray
there, imports this package's all the same."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from s2e.client import S2EClient
from s2e.words.states import JOB_ENDED

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
OWN = "raise RuntimeError('the user\\'s own module was imported')\n"
JOB = {
    "data": {"n_train": 128},
    "train": {"n_epochs": 1, "batch_size": 64},
    "search": {"searcher": "random", "n_rounds": 1, "n_trials": 1},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.5]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The user's folder."""
    mine = tmp_path / "mine"
    (mine / "service").mkdir(parents=True)
    (mine / "service" / "__init__.py").write_text(OWN)
    (mine / "workers.py").write_text(OWN)
    return mine


def environment(**more: str) -> dict[str, str]:
    """Surroundings without settings of this service or of Ray; the package is found as if it were installed."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("S2E_", "RAY_"))}
    return ours | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", **more}


@contextmanager
def serving(folder: Path) -> Iterator[S2EClient]:
    """``s2e serve`` in the user's folder, started as the installed script starts it."""
    script = folder.parent / "s2e"
    script.write_text("from service.cli.main import main\nmain()\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"S2E_HOME": str(folder.parent / "home"), "S2E_PORT": str(port), "S2E_BACKEND": "simulated"}
    with (folder.parent / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(script), "serve"], cwd=folder, env=environment(**settings), stdout=log, stderr=log
        )
    try:
        with S2EClient(f"http://127.0.0.1:{port}") as client:
            until(client.ready, folder.parent / "log")
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def until(met: Callable[[], bool], log: Path, patience_s: float = 120.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while not met():
        assert time.monotonic() < deadline_s, log.read_text()[-2000:]
        time.sleep(0.1)


def test_a_service_started_there_runs_a_job_to_its_end(folder: Path) -> None:
    """On Ray too: tests/e2e/test_plugin.py serves from such a folder."""
    with serving(folder) as client:
        job = client.submit(JOB)
        until(lambda: client.job(job.id).state in JOB_ENDED, folder.parent / "log")
        assert client.job(job.id).state == "completed"
        assert {trial.state for trial in client.trials(job.id)} == {"succeeded"}
    log = (folder.parent / "log").read_text()
    assert "starts again" not in log
    assert "own module" not in log


def test_a_program_that_lies_there_imports_the_users_names(folder: Path) -> None:
    program = folder / "program.py"
    program.write_text(
        "from s2e.client import S2EClient, own_trials\n"
        "import s2e\n"
        f"report = s2e.search({JOB!r}, output='out', progress=False)\n"
        "print(len(report.rows), type(s2e.load_model('out/' + report.recommended_model)).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, str(program)], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4 Model\n"
