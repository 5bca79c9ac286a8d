"""Skips of real-component tests become failures where CI says the component must be there (S2E_REQUIRE)."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from s2e.parts import DATASETS, DatasetPart, dataset
from s2e.words import DataSpec, NoiseSpec, PlanSpec, Population, TrainSpec, TrialSpec, replace
from service.store.engine import Database, migrate
from workers.backend import Event, PopulationFinished, PopulationLost, TrialBackend

# Ray's and torch's threads must not fight over two cores, and no test may phone home.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read before any fixture clears the settings of the surroundings.
EXTERNAL_POSTGRES = os.environ.get("S2E_TEST_PG_URL")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    report = yield
    required = set(os.environ.get("S2E_REQUIRE", "").split(",")) - {""}
    missing = required & {mark.name for mark in item.iter_markers()}
    if report.skipped and missing and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although {', '.join(sorted(missing))} is required here: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """One local Ray of two CPUs for the whole session; tests that use it are of xdist_group("ray")."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    from workers.ray_start import connect

    ray, _ = connect(None, num_cpus=2, num_gpus=0, object_store_bytes=100 * 2**20)
    yield ray
    with warnings.catch_warnings():
        # Ray leaves the handles of its own processes to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        ray.shutdown()
        gc.collect()


@pytest.fixture(scope="session")
def make_population() -> Callable[..., Population]:
    """Builds populations on the digits: trials ``ks`` under falling schedules, changed by keyword."""

    def build(
        ks: tuple[int, ...] = (0, 1),
        n_epochs: int = 3,
        data: DataSpec | None = None,
        plan: PlanSpec | None = None,
        **train: Any,
    ) -> Population:
        trials = tuple(
            TrialSpec(
                round=0,
                k=k,
                label="search",
                repeat=0,
                keep_rate=tuple(1 - 0.5 * t / n_epochs for t in range(n_epochs)),
                init_seed=100 + k,
                order_seed=7,
                noise_seed=9,
            )
            for k in ks
        )
        settings = replace(TrainSpec(), n_epochs=n_epochs, **train)
        return Population(data or DataSpec(), settings, plan or PlanSpec(), min(2, n_epochs), trials)

    return build


LATE_STAGE = {
    "backward": {"transition": "estimated", "estimation_epochs": 1},
    "dividemix": {"warm_up_epochs": 1},
    "forward": {"transition": "confident", "estimation_epochs": 1},
    "gce_truncated": {"first_pruning_epoch": 1},
    "joint_optim": {"label_start": 1, "retrain_start": 2},
    "m_dyr_h": {"guided_start": 1},
    "md_dyr_sh": {"guided_start": 0, "bootstrap_start": 1},
    "pencil": {"label_start": 1, "label_end": 2},
}
"""Parameters that bring a later stage into the second epoch."""


TINY_SIZES = (8, 16)


def _tiny(size: int) -> Any:
    """Random pixels with a pattern per class, large enough for every network."""
    import torch  # here, because most sessions of the service's tests need none

    from s2e.data.datasets import Dataset

    generator = torch.Generator().manual_seed(0)
    pattern = torch.randint(0, 128, (4, 3, size, size), generator=generator)
    parts = []
    for n_samples in (112, 24):
        labels = torch.arange(n_samples) % 4
        noise = torch.randint(0, 128, (n_samples, 3, size, size), generator=generator)
        parts += [(pattern[labels] + noise).to(torch.uint8), labels]
    return Dataset("tiny", 4, 255, *parts)


def _declare_tiny(size: int) -> None:
    @dataset(f"tiny{size}", load=f"tiny_images:load{size}")
    class Tiny(DatasetPart):
        """Random pixels."""


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Population]]:
    """Builds populations of K trials on the tiny data set: 80 training samples (5 batches of 16), 32 to validate."""
    loaders = {f"load{size}": lambda data_root, size=size: _tiny(size) for size in TINY_SIZES}
    monkeypatch.setitem(sys.modules, "tiny_images", SimpleNamespace(**loaders))
    for size in TINY_SIZES:
        _declare_tiny(size)

    def build(
        ks: tuple[int, ...] = (0,),
        *,
        shared_order: bool = True,
        dtype: str = "float64",
        keep: float = 0.5,
        n_train: int | None = None,
        late_stage: bool = False,
        **train: Any,
    ) -> Population:
        if late_stage:
            train["params"] = LATE_STAGE.get(train["method"], {})
        settings = TrainSpec(**{"n_epochs": 4, "batch_size": 16, **train})
        trials = tuple(
            TrialSpec(
                round=0,
                k=k,
                label="search",
                repeat=0,
                keep_rate=tuple(max(keep, 1 - 0.1 * (k + 1) * t) for t in range(settings.n_epochs)),
                init_seed=10 + k,
                order_seed=20 if shared_order else 20 + k,
                noise_seed=30 + k,
            )
            for k in ks
        )
        size = 8 if settings.network == "model2" else 16  # its convolutions are slow in float64
        data = DataSpec(name=f"tiny{size}", noise=NoiseSpec("symmetric", 0.4), n_validation=32, n_train=n_train)
        return Population(data, settings, PlanSpec(dtype=dtype), 2, trials)

    yield build
    for size in TINY_SIZES:
        DATASETS.discard(f"tiny{size}")


@pytest.fixture(scope="session")
def collect() -> Callable[..., list[Event]]:
    """Polls a backend until ``n`` populations ended, and returns every event seen."""

    def until_ended(backend: TrialBackend, n: int = 1, limit_s: float = 120.0) -> list[Event]:
        events: list[Event] = []
        deadline_s = time.monotonic() + limit_s
        while sum(isinstance(event, PopulationFinished | PopulationLost) for event in events) < n:
            assert time.monotonic() < deadline_s, f"no end within {limit_s} s; seen: {events}"
            events += backend.poll(0.5)
        return events

    return until_ended


# --- databases --------------------------------------------------------------------------------------------------------


def _find_initdb() -> Path | None:
    found = shutil.which("initdb")
    candidates = [Path(found)] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return candidates[-1] if candidates else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL: S2E_TEST_PG_URL, or one started for this session where initdb is found."""
    if EXTERNAL_POSTGRES:
        yield EXTERNAL_POSTGRES
        return
    initdb = _find_initdb()
    if initdb is None:
        pytest.skip("no PostgreSQL: set S2E_TEST_PG_URL or install initdb")
    folder = Path(tempfile.mkdtemp(prefix="s2e-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, log = folder / "data", folder / "log"
    control = [*as_user, str(initdb.parent / "pg_ctl"), "-D", str(data), "-w", "-l", str(log)]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {folder}"
    how = {"check": True, "cwd": folder, "stdout": subprocess.DEVNULL}
    try:
        create = [str(initdb), "-D", str(data), "-N", "-A", "trust", "-U", "s2e", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run([*as_user, *create], **how)
        subprocess.run([*control, "-o", options, "start"], **how)
        try:
            yield f"postgresql://s2e@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "fast", "stop"], **how)
    finally:
        shutil.rmtree(folder)


def _administer(server: str, statement: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file made by running the migrations, to be copied."""
    path = tmp_path_factory.mktemp("template") / "s2e.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """Name of a database made by running the migrations, to be copied."""
    name = f"s2e_template_{uuid.uuid4().hex[:12]}"
    _administer(postgres_server, f"CREATE DATABASE {name}")
    migrate(make_url(postgres_server).set(database=name).render_as_string(hide_password=False))
    yield name
    _administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite database at the newest migration."""
    shutil.copyfile(sqlite_template, tmp_path / "s2e.db")
    return f"sqlite:///{tmp_path / 's2e.db'}"


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A fresh PostgreSQL database at the newest migration."""
    name = f"s2e_{uuid.uuid4().hex[:12]}"
    _administer(postgres_server, f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    _administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database of each kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def each_database(database_url: str) -> Iterator[Database]:
    """The store on a fresh database of each kind in turn."""
    opened = Database(database_url)
    yield opened
    opened.close()
