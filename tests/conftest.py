"""Skips of real-component tests become failures where CI says the component must be there (S2E_REQUIRE)."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from sqlalchemy import make_url

from s2e.testing.tiny import declared, population
from s2e.words import Population, replace
from service.store.engine import Database, migrate
from workers.backend import Event
from workers.testing import collect as events_until_ended
from workers.testing import population as digits_population

# Ray's and torch's threads must not fight over two cores, and no test may phone home.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read before any fixture clears the settings of the surroundings.
EXTERNAL_POSTGRES = os.environ.get("S2E_TEST_PG_URL")

# Examples of a property: few for whoever waits, more in `make numeric` (--hypothesis-profile=thorough).
hypothesis.settings.register_profile("quick", deadline=None, max_examples=20)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=100)
hypothesis.settings.load_profile("quick")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    report = yield
    required = set(os.environ.get("S2E_REQUIRE", "").split(",")) - {""}
    missing = required & {mark.name for mark in item.iter_markers()}
    if report.skipped and missing and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although {', '.join(sorted(missing))} is required here: {report.longrepr}"
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Groups keep Ray and the browser in one worker; pytest-xdist 3.8 writes them where pytest 9.2 does not look."""
    grouping = getattr(config.option, "dist", "no") == "loadgroup"
    if grouping and not any("_nodeid" in getattr(base, "__slots__", ()) for base in pytest.Item.__mro__):
        raise pytest.UsageError("--dist loadgroup does nothing with this pytest: install the one of constraints.txt")


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end, so the garbage collector need not walk through them; an eighth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


LONG = (
    "ray", "test_outages", "browser", "test_schemathesis", "test_demo", "test_benchmarks", "test_small_experiments",
    "test_ray_tune", "test_dispatcher", "test_sklearn", "test_external", "test_shadowed", "test_methods",
    "test_sklearn_files", "test_noise", "test_model", "test_places", "test_architecture", "test_stacked", "test_fitted",
    "test_stored_specs", "test_model_newton", "test_honest", "test_searchers", "test_audit", "test_local_pool",
    "test_budget", "test_cli", "test_extras", "test_tutorials", "test_service_benchmark", "test_given_labels",
    "test_verdict", "test_plugins", "test_final", "test_every_source", "test_datasets", "test_spaces",
    "test_heartbeat", "test_stores", "test_loop", "others", "test_own_sources", "test_people",
)  # fmt: skip
"""Groups of more than six seconds, the longest first, drills included. One that is missing costs a few seconds, and
nothing else."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file stay in one worker, so that what a module shares is made once. Ray's, the longest chain, go
    first; then the other long files; the many short ones are left to even out the end."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    order = {name: i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: (order.get(group_of(item), len(order)), len(item.path.parts)))


def group_of(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    assert mark is not None
    return str(mark.args[0])


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """One local Ray of two CPUs for the whole session; tests that use it are of xdist_group("ray")."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    from workers.ray_start import connect

    with warnings.catch_warnings():
        # Ray leaves the handles of its own processes to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        connection = connect(None, num_cpus=2, num_gpus=0, object_store_bytes=100 * 2**20)
        gc.collect()
    yield connection.ray
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        connection.close()
        gc.collect()


@pytest.fixture(scope="session")
def make_population() -> Callable[..., Population]:
    """Builds populations on the digits: trials ``ks`` under falling schedules, changed by keyword."""
    return digits_population


@pytest.fixture
def tiny() -> Iterator[Callable[..., Population]]:
    """Builds populations of K trials on the images of :mod:`s2e.testing.tiny`, of 8x8 pixels or of 16 where a network
    takes no fewer."""

    def build(ks: tuple[int, ...] = (0,), *, keep: float = 0.5, network: str = "mlp", **settings: Any) -> Population:
        size = 16 if network == "model1" else 8
        made = population(ks, size=size, network=network, **settings)
        trials = tuple(replace(trial, keep_rate=tuple(max(keep, r) for r in trial.keep_rate)) for trial in made.trials)
        return replace(made, trials=trials)

    with declared():
        yield build


@pytest.fixture
def smooth_adam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam, in the engine and in plain loops alike, with an epsilon of 0.01: the comparison of two programs that only
    round differently is then well-posed, and every tensor has to agree to 1e-12.

    Adam moves a weight by lr m / (sqrt(v) + eps). Where the exact gradient is 0 (a bias in front of batch norm, which
    subtracts it again) or cancels to less than eps, m and sqrt(v) are the rounding error d of a sum, and the weight
    moves by lr d / eps. Torch's eps of 1e-8 makes that 1e5 d, so such a weight follows the processor's order of
    addition and not the mathematics (2e-10 seen in four steps, 1e-3 possible), and a running mean follows its bias.
    With eps = 0.01 it is 0.1 d. Epsilon enters element by element inside torch's own kernel: moments, decay, slicing
    and checkpoints, which these tests are about, are untouched.
    """
    import torch

    from s2e.train import optimizer

    for module in (torch.optim, optimizer):
        smooth = {"__init__": functools.partialmethod(module.Adam.__init__, eps=0.01)}
        monkeypatch.setattr(module, "Adam", type("SmoothAdam", (module.Adam,), smooth))


@pytest.fixture(scope="session")
def collect() -> Callable[..., list[Event]]:
    """Polls a backend until ``n`` populations ended, and returns every event seen."""
    return events_until_ended


# --- databases --------------------------------------------------------------------------------------------------------


def _find_initdb() -> Path | None:
    initdb = shutil.which("initdb")
    candidates = [Path(initdb)] if initdb else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
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
    """A fresh database of each kind in turn."""
    opened = Database(database_url)
    yield opened
    opened.close()
