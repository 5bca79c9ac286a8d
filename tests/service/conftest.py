"""A migrated SQLite database for each test, the real server in a thread, and jobs with everything a job can have."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.words import (
    CompareReport,
    JobSpec,
    Report,
    RoundRecord,
    TrialResult,
    TrialSpec,
    derive_seed,
    to_json,
)
from service.api.server import make_server
from service.dispatch.dispatcher import Dispatcher
from service.settings import Settings
from service.store.engine import Database, migrate
from service.store.models import Attempt, Base, Epoch, Job, SearchRound, Trial
from service.store.repository import create_job
from workers.simulated import SimulatedBackend, SimulatedTrial
from workers.testing import run_to_end

CERTIFICATES = httpx.create_ssl_context()  # to read them takes longer than most tests
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SMALL = {
    "name": "small",
    "train": {"n_epochs": 12},
    "search": {"n_rounds": 2, "n_trials": 3},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.2]},
}


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database made by the migrations, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "s2e.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module", autouse=True)
def no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("S2E_") and name != "S2E_REQUIRE"]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def settings_in(empty_database: Path) -> Callable[[Path], Settings]:
    """Settings of a service with a migrated, empty database in a folder."""

    def make(folder: Path) -> Settings:
        shutil.copy(empty_database, folder / "s2e.db")
        return Settings(home=folder, port=0)

    return make


@pytest.fixture
def settings(tmp_path: Path, settings_in: Callable[[Path], Settings]) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.database_url)
    yield opened
    opened.close()


@dataclass
class Running:
    """A server that answers at ``url``."""

    url: str
    http: httpx.Client
    stop: Callable[[], None]
    app: Any


@pytest.fixture(scope="session")
def start_server() -> Callable[[Settings], Any]:
    """A context manager that runs the server with the given settings."""
    return running


@contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """The real server in a thread of this process, on a free port."""
    server = make_server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.005)

    def stop() -> None:
        server.handle_exit(15, None)
        ended(thread)

    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=f"{url}/api/v1", timeout=10, verify=CERTIFICATES) as http:
        yield Running(url, http, stop, server.config.app)
    if settings.database_url.startswith("sqlite"):
        server.handle_exit(15, None)
        ENDING.append(thread)
    else:  # the database is dropped next
        stop()


ENDING: list[threading.Thread] = []
"""Servers told to stop. To close its connections takes uvicorn a tenth of a second, in which the next test runs."""


@pytest.fixture(scope="module", autouse=True)
def every_server_ends() -> Iterator[None]:
    yield
    while ENDING:
        ended(ENDING.pop())


def ended(server: threading.Thread) -> None:
    server.join(10)
    assert not server.is_alive()


@pytest.fixture
def dispatching(settings: Settings) -> Iterator[None]:
    """A dispatcher in a thread, on trials that learn by a formula. It has long pauses: a pass costs milliseconds."""
    database, stop = Database(settings.database_url), threading.Event()
    dispatcher = Dispatcher(database, SimulatedBackend(by_formula), poll_s=0.05)
    thread = threading.Thread(target=dispatcher.run, args=(stop,), daemon=True)
    with capture_logs():  # which would else go to standard output
        thread.start()
        yield
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    database.close()


def by_formula(trial: TrialSpec) -> SimulatedTrial:
    """Accuracy grows with what the schedule keeps in the end; trial 1 of round 0 fails."""
    reason = "loss became NaN at epoch 2" if (trial.round, trial.k) == (0, 1) else ""
    return SimulatedTrial.constant(0.5 + 0.4 * trial.keep_rate[-1], len(trial.keep_rate), reason)


@pytest.fixture
def service(settings: Settings) -> Iterator[Running]:
    with running(settings) as started:
        yield started


@pytest.fixture
def http(service: Running) -> httpx.Client:
    return service.http


@pytest.fixture(scope="session")
def count_rows() -> Callable[[Database], dict[str, int]]:
    """Counts the rows of each table."""

    def count(database: Database) -> dict[str, int]:
        with database.read() as session:
            return {
                t.name: session.scalar(select(func.count()).select_from(t)) or 0 for t in Base.metadata.sorted_tables
            }

    return count


@pytest.fixture(scope="session")
def assert_problem() -> Callable[..., dict[str, Any]]:
    """Checks that an answer is a complete problem document, and returns it."""

    def check(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = response.json()
        assert problem["status"] == status
        assert problem["code"] == code
        assert problem["type"] == f"urn:s2e:problem:{code}"
        assert problem["title"]
        assert problem["detail"]
        assert problem["instance"].startswith("/")
        return problem

    return check


@pytest.fixture
def store_job(database: Database) -> Callable[..., str]:
    """Writes a running job with its first search round, of which the first ``succeeded`` trials have ended well."""

    def store(succeeded: int = 0, **data: Any) -> str:
        spec = parse_job({**SMALL, **data})
        with database.write() as session:
            job_id, _ = create_job(session, spec)
            job = session.get_one(Job, job_id)
            job.state, job.started_at, job.n_trials_done = "running", START, succeeded
            _add_first_round(session, job_id, spec, succeeded)
        return job_id

    return store


def _add_first_round(session: Session, job_id: str, spec: JobSpec, succeeded: int) -> None:
    round_ = loop.next_round(spec, [])
    assert round_ is not None
    session.add(SearchRound(job_id=job_id, round=0, kind="search", state=to_json(round_.state), created_at=START))
    for trial in round_.trials:
        done = trial.k < succeeded
        row = Trial(
            id=f"{job_id[:32]}-{trial.k:03d}",
            job_id=job_id,
            round=0,
            k=trial.k,
            group=0,
            label="search",
            repeat=0,
            state="succeeded" if done else "running",
            attempt=1,
            spec=to_json(trial),
            objective=0.2 - 0.01 * trial.k if done else None,
            validation_accuracy=0.8 + 0.01 * trial.k if done else None,
            started_at=START,
        )
        session.add(row)
        session.flush()
        session.add(
            Attempt(trial_id=row.id, job_id=job_id, round=0, k=trial.k, attempt=1, worker="here:1", created_at=START)
        )
        for t in range(spec.train.n_epochs if done else 4):
            session.add(
                Epoch(
                    trial_id=row.id,
                    attempt=1,
                    epoch=t,
                    loss=1 / (t + 1),
                    keep_rate=trial.keep_rate[t],
                    kept=trial.keep_rate[t],
                    validation_accuracy=t / 100,
                    wrong_memorised=t / 50,
                    networks=[[t / 10, t / 100, 0.5], [0.5, t / 100, None]] if t else None,
                )
            )


# --- searches that take a moment --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class QuickSearch:
    """A small job, trials whose outcome is a formula, and how it ends in process: what a service has to reach too."""

    spec: JobSpec
    evaluate: Callable[[TrialSpec], SimulatedTrial]
    history: list[RoundRecord]
    report: Report | CompareReport


def _formula(trial: TrialSpec) -> SimulatedTrial:
    """Accuracy from the schedule and the seeds alone."""
    noise = derive_seed(trial.init_seed, trial.order_seed, trial.noise_seed) / 2**63
    return SimulatedTrial.constant(0.4 + 0.4 * fmean(trial.keep_rate) + 0.05 * noise, len(trial.keep_rate))


@pytest.fixture(scope="session")
def run_simulated() -> Callable[..., list[TrialResult]]:
    """Trains the populations of a round on a simulated backend to their end."""
    return run_to_end


@pytest.fixture(scope="session")
def quick_search() -> QuickSearch:
    report = {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.3]}
    return _ended_in_process({"search": {"n_rounds": 2, "n_trials": 3}, "report": report})


@pytest.fixture(scope="session")
def quick_halving() -> QuickSearch:
    """Hyperband with T = 3: three trials of 2 epochs, the best of them to 3, two full trainings, then the end."""
    search = {"searcher": "hyperband", "n_rounds": 1, "n_trials": 5}
    report = {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.3]}
    return _ended_in_process({"search": search, "report": report, "train": {"n_epochs": 3}})


@pytest.fixture(scope="session")
def quick_comparison() -> QuickSearch:
    entries = [{"method": "standard"}, {"method": "coteaching"}, {"method": "gce", "params": {"q": 0.5}}]
    return _ended_in_process({"kind": "compare", "compare": {"n_seeds": 2, "entries": entries}})


def _ended_in_process(job: dict[str, Any]) -> QuickSearch:
    spec = parse_job({"seed": 7, "train": {"n_epochs": 2}, "plan": {"population": 2}, **job})
    backend = SimulatedBackend(_formula)
    history, report = loop.run_search(spec, partial(run_to_end, backend))
    return QuickSearch(spec, _formula, history, report)


@pytest.fixture(params=["quick_search", "quick_comparison"])
def quick_job(request: pytest.FixtureRequest) -> QuickSearch:
    """A job of each kind in turn."""
    job: QuickSearch = request.getfixturevalue(request.param)
    return job
