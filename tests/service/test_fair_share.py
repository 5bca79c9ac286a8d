"""Large jobs beside small ones: admission by cost, rounds written in pieces, and turns that are fair between jobs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, make_url, select
from structlog.testing import capture_logs

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.words import JobSpec
from s2e.words.states import JOB_ENDED
from service.api.admission import EPOCH_BYTES, TRIAL_BYTES, cost_of
from service.dispatch import asking
from service.dispatch.dispatcher import Dispatcher
from service.dispatch.orchestrator import Orchestrator
from service.dispatch.step import Step
from service.dispatch.turns import Turns
from service.settings import Settings
from service.store import external, leases, repository, rounds
from service.store.engine import Database
from service.store.models import Job, Trial
from workers.simulated import SimulatedBackend, SimulatedTrial

OWNER = "test:1"
SMALL = parse_job(
    {
        "train": {"n_epochs": 2},
        "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
        "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.2]},
    }
)
HUGE = parse_job(
    {
        "train": {"n_epochs": 5},
        "search": {"searcher": "random", "n_rounds": 100, "n_trials": 100},
        "report": {"taus": [0.2]},
    }
)

EXTERNAL = parse_job(
    {"trials": "external", "train": {"n_epochs": 5}, "search": {"searcher": "random", "n_trials": 100}}
)
"""Nothing of it is checked before its first round."""


def evaluate(trial: Any) -> SimulatedTrial:
    return SimulatedTrial.constant(0.5, len(trial.keep_rate))


def submit(database: Database, spec: JobSpec) -> str:
    with database.write() as session:
        return repository.create_job(session, spec)[0]


def n_started(database: Database, job_id: str) -> int:
    with database.read() as session:
        started = select(func.count()).where(Trial.job_id == job_id, Trial.attempt > 0)
        return session.scalar(started) or 0


def n_with_a_start(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count(Trial.job_id.distinct())).where(Trial.attempt > 0)) or 0


@pytest.fixture
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


# --- admission --------------------------------------------------------------------------------------------------------


def test_a_job_too_large_for_the_service_is_refused_by_its_cost_and_leaves_nothing(
    http: httpx.Client, database: Database, assert_problem: Callable[..., Any], count_rows: Callable[..., Any]
) -> None:
    asked = {"search": {"n_rounds": 10_000, "n_trials": 1_000}, "train": {"n_epochs": 10_000}}
    problem = assert_problem(http.post("/jobs", json=asked), 422, "invalid_spec")
    refused = {error["field"]: error for error in problem["errors"]}
    assert set(refused) == {"cost.trials", "cost.epochs", "cost.bytes"}
    assert refused["cost.trials"]["value"] == loop.n_trials(parse_job(asked))
    assert "at most 50000" in refused["cost.trials"]["allowed"]
    assert "S2E_MAX_JOB_TRIALS" in refused["cost.trials"]["allowed"]
    assert not any(count_rows(database).values())


def test_the_limits_are_settings(settings: Settings, start_server: Callable[..., Any]) -> None:
    settings.max_job_trials = loop.n_trials(SMALL) - 1
    asked = {
        "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
        "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.2]},
    }
    with start_server(settings) as running:
        answer = running.http.post("/jobs", json=asked)
        assert [error["field"] for error in answer.json()["errors"]] == ["cost.trials"]
    settings.max_job_trials += 1
    with start_server(settings) as running:
        assert running.http.post("/jobs", json=asked).status_code == 201


# --- rounds in pieces -------------------------------------------------------------------------------------------------


def lead(database: Database, spec: JobSpec) -> tuple[str, Orchestrator]:
    job_id = submit(database, spec)
    with database.write() as session:
        leases.acquire_lease(session, job_id, OWNER, 600)
    return job_id, Orchestrator(database, SimulatedBackend(evaluate), OWNER)


def test_a_large_round_is_written_in_pieces_and_gone_on_with_after_a_crash(
    each_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pieces of one round make the same round; nothing of it is handed out before it is whole."""
    monkeypatch.setattr(asking, "CELLS", 30 * 5)
    job_id, first = lead(each_database, EXTERNAL)
    n_trials = []
    for _ in range(2):
        assert first.turn(job_id) is Step.LATER
        with each_database.read() as session:
            n_trials.append(session.scalar(select(func.count()).select_from(Trial)))
            assert rounds.job_status(session, job_id).n_rounds == 0
        with each_database.write() as session:
            assert external.ask(session, job_id, 1, "me", 60, 3)[1] == []
    assert n_trials == [30, 60]
    second = Orchestrator(each_database, SimulatedBackend(evaluate), OWNER)
    second.take_over(job_id)
    assert not second.advance(job_id)
    with each_database.read() as session:
        assert rounds.load_round(session, job_id, 0) == loop.next_round(EXTERNAL, [])
    with each_database.write() as session:
        assert len(external.ask(session, job_id, 1, "me", 60, 3)[1]) == 1


def test_a_job_cancelled_while_its_round_is_written_ends(
    each_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "CELLS", 30 * 5)
    job_id, led = lead(each_database, EXTERNAL)
    assert led.turn(job_id) is Step.LATER
    with each_database.write() as session:
        repository.cancel_job(session, job_id)
    assert led.turn(job_id) is Step.DONE
    with each_database.read() as session:
        assert session.get_one(Job, job_id).state == "cancelled"
        assert set(session.scalars(select(Trial.state))) == {"cancelled"}


# --- turns ------------------------------------------------------------------------------------------------------------


def test_fewest_under_way_first_then_whose_last_start_is_longest_ago() -> None:
    turns = Turns()
    for job_id in "abc":
        turns.wake(job_id)
    assert list(turns.take(lambda _: True, {"a": 1})) == ["b", "c", "a"]
    assert not turns.pressing
    for job_id in "bcd":
        turns.wait_for_place(job_id)
    turns.started("c")
    turns.started("b")
    places = iter([True, True, False])
    assert list(turns.take(lambda _: next(places), {})) == ["d", "c"]
    turns.see({"a": "running"})
    turns.see({"a": "running"})
    assert list(turns.take(lambda _: False, {})) == ["a"]


def test_places_are_counted_for_all_jobs_together(database: Database) -> None:
    """Two places: two populations train and one is ready to follow, however many jobs there are."""
    backend = SimulatedBackend(evaluate, n_workers=2)
    led = Orchestrator(database, backend, OWNER)
    job_ids = [submit(database, HUGE) for _ in range(4)]
    with database.write() as session:
        for job_id in job_ids:
            leases.acquire_lease(session, job_id, OWNER, 600)
    for job_id in job_ids:
        led.advance(job_id)
    assert len(backend.running()) == 3


def test_a_new_small_job_is_served_at_once_beside_a_huge_one_and_a_crowd(database: Database, quiet: None) -> None:
    """It waits for a place for its check and for one for its first trial, not for those who came before and have had
    a start. With 32 jobs led at once it waited until others had ended."""
    huge = submit(database, HUGE)
    dispatcher = Dispatcher(database, SimulatedBackend(evaluate, n_workers=2), lease_s=600, poll_s=0.001)
    for _ in range(5):
        dispatcher.step()
    assert n_started(database, huge) > 0
    crowd = [submit(database, SMALL) for _ in range(40)]
    for _ in range(2_000):
        dispatcher.step()
        if n_with_a_start(database) == 1 + len(crowd):
            break
    new = submit(database, SMALL)
    for _ in range(20):
        dispatcher.step()
    assert n_started(database, new) > 0
    with database.read() as session:
        assert session.get_one(Job, huge).state == "running"
        assert session.scalar(select(func.count()).where(Job.lease_owner == dispatcher.owner)) > 32
    dispatcher.close()


def test_the_cost_of_a_job_is_what_it_comes_to(sqlite_url: str, quiet: None) -> None:
    """Rows of a simulated job, in a file without a free page, against the estimate that admits it."""
    spec = parse_job({"train": {"n_epochs": 50}, "search": {"searcher": "random", "n_rounds": 2}})
    path, database = Path(make_url(sqlite_url).database or ""), Database(sqlite_url)
    before = path.stat().st_size
    backend = SimulatedBackend(measure, n_workers=32)  # their epochs come together and are written in one transaction
    job_id, dispatcher = submit(database, spec), Dispatcher(database, backend, poll_s=0.001)
    while n_open(database, job_id):
        dispatcher.step()
    database.close()
    with closing(sqlite3.connect(path)) as connection:
        n_trials, n_epochs = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("trials", "epochs")
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    real = path.stat().st_size - before
    estimate = n_trials * TRIAL_BYTES + n_epochs * EPOCH_BYTES
    assert 0.5 * estimate < real < estimate
    assert n_trials <= cost_of(spec).trials
    assert cost_of(spec).epochs == 50 * cost_of(spec).trials


def measure(trial: Any) -> SimulatedTrial:
    """Numbers with as many digits as measured ones."""
    values = tuple(0.1 + (t * 0.618 + trial.init_seed / 2**64) % 0.8 for t in range(len(trial.keep_rate)))
    return SimulatedTrial(values, values, values)


def n_open(database: Database, job_id: str) -> bool:
    with database.read() as session:
        return session.get_one(Job, job_id).state not in JOB_ENDED
