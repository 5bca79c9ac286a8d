"""Kill -9 the dispatcher, a trainer and the api of a running service: the job ends as if nothing had happened.

The reference is the same job in this process, with no service at all.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from s2e.client.http import S2EClient
from s2e.door import parse_job
from s2e.jobs.loop import run_search
from s2e.train.trial import PopulationEnd, train_population
from s2e.words import Population, Report, Round, RoundRecord, TrialResult

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.xdist_group("ray"), pytest.mark.timeout(400)]
JOB = {
    "seed": 5,
    "data": {"n_train": 320},  # five steps an epoch: a population trains for about a second
    "train": {"n_epochs": 100, "batch_size": 64},
    "search": {"n_rounds": 3, "n_trials": 4},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.3], "ramp_epochs": 5},
    "plan": {"population": 2},
}
PATIENCE_S = 120.0


@dataclass
class Service:
    process: subprocess.Popen[bytes]
    client: S2EClient

    def child(self, verb: str) -> psutil.Process:
        """The supervised process that runs ``s2e VERB``."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            if child.is_running() and verb in child.cmdline():
                return child
        raise AssertionError(f"no process runs {verb}")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("S2E_", "RAY_"))}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli.main", "serve"],
            env=ours | {"S2E_HOME": str(tmp_path), "S2E_PORT": str(port), "RAY_USAGE_STATS_ENABLED": "0"},
            stdout=log, stderr=log,
        )  # fmt: skip
        with S2EClient(f"http://127.0.0.1:{port}") as client:
            running = Service(process, client)
            until(client.ready)
            yield running
        process.terminate()
        process.wait(30)


def until(met: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < deadline_s, "waited too long"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def undisturbed() -> tuple[list[RoundRecord], Report]:
    def train(_: Round, populations: tuple[Population, ...]) -> list[TrialResult]:
        ends = [event for p in populations for event in train_population(p) if isinstance(event, PopulationEnd)]
        return [result for end in ends for result in end.results]

    return run_search(parse_job(JOB), train)


def kill(process: psutil.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)


def killed_at_work(client: S2EClient, job_id: str) -> bool:
    """True if a trainer was killed before the end of what it trains was written down; it is stopped first, because
    a population lasts a second or less."""
    trial_id = next((trial.id for trial in client.trials(job_id) if trial.state == "running"), None)
    worker = None if trial_id is None else client.trial(trial_id).attempts[-1].worker
    if trial_id is None or not worker:
        return False
    trainer = psutil.Process(int(worker.split(":")[-1]))
    trainer.suspend()
    time.sleep(0.5)  # what it told before is written down by then
    if client.trial(trial_id).state == "running":
        kill(trainer)
        return True
    trainer.resume()
    return False


def test_a_job_survives_the_death_of_every_process(
    service: Service, undisturbed: tuple[list[RoundRecord], Report]
) -> None:
    client = service.client
    job_id = client.submit(JOB).id

    def trials_done() -> int:
        return client.job(job_id).progress.trials_done

    def epochs_running() -> bool:
        return any(trial.state == "running" for trial in client.trials(job_id))

    until(epochs_running)
    trained = [trial.id for trial in client.trials(job_id) if trial.state == "running"]
    kill(service.child("dispatcher"))
    until(lambda: trials_done() >= 4)
    assert {client.trial(trial_id).attempt for trial_id in trained} == {1}  # nothing was trained again
    until(lambda: killed_at_work(client, job_id))
    until(lambda: trials_done() >= 8)
    kill(service.child("api"))
    until(client.ready)

    assert client.wait(job_id).state == "completed"
    history, report = undisturbed
    rounds = {round_.round: round_ for round_ in client.rounds(job_id)}
    assert [rounds[m].theta for m in range(3)] == [record.round.state.theta for record in history[:3]]  # type: ignore[union-attr]
    told = client.report(job_id)
    assert [row.test_accuracy for row in told.rows] == [row.test_accuracy for row in report.rows]
    assert told.verdict == report.verdict
    trials = list(client.trials(job_id))
    assert len(trials) == trials_done() == 3 * 4 + 2 + 4 * 2
    assert max(trial.attempt for trial in trials) > 1  # something really was trained again
