"""Asks, reports and passes of the dispatcher must not read what has ended: the query planners' own words."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import Connection, event, insert, select, text
from sqlalchemy.orm import Session

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.words import to_json
from service.store import external, leases, queries, quick, repository, rounds
from service.store.changes import new_id, utc_now
from service.store.engine import Database
from service.store.models import Attempt, Job, SearchRound, Trial

N_TRIALS, N_ROUNDS, N_JOBS = 10_000, 1_000, 3_000
ME = "me:1"
MOST_ROWS = 200
"""Far more than are pending, open or led here, and far fewer than have ended."""


@pytest.fixture
def spec() -> Any:
    return parse_job({"trials": "external", "train": {"n_epochs": 2}, "search": {"searcher": "random", "n_trials": 10}})


@pytest.fixture
def large(each_database: Database, spec: Any) -> tuple[Database, str]:
    """A job with 10,000 trials, all but the last round ended, among 3,000 jobs that have ended."""
    at, round_ = utc_now(), loop.next_round(spec, [])
    assert round_ is not None
    trial_spec = to_json(round_.trials[0])
    with each_database.write() as session:
        job_id, _ = repository.create_job(session, spec)
        job = session.get_one(Job, job_id)
        job.state, job.lease_owner, job.lease_until = "running", ME, at + timedelta(hours=1)
        session.flush()
        ended = {"name": "", "state": "completed", "spec": {}, "spec_version": 1, "n_trials": 1, "n_trials_done": 1}
        session.execute(insert(Job), [ended | {"id": new_id(), "reason": "", "created_at": at} for _ in range(N_JOBS)])
        session.execute(
            insert(SearchRound),
            [
                {"job_id": job_id, "round": m, "kind": "search", "state": None, "created_at": at}
                for m in range(N_ROUNDS)
            ],
        )
        per_round = N_TRIALS // N_ROUNDS
        trials: list[dict[str, Any]] = []
        for i in range(N_TRIALS):
            m, k = divmod(i, per_round)
            state = "succeeded" if m < N_ROUNDS - 1 else "leased" if k < 3 else "pending"
            trials.append(
                {
                    "id": new_id(), "job_id": job_id, "round": m, "k": k, "group": k, "label": "search", "repeat": 0,
                    "state": state, "attempt": int(state != "pending"), "spec": trial_spec, "reason": "",
                }
            )  # fmt: skip
        session.execute(insert(Trial), trials)
        session.execute(
            insert(Attempt),
            [
                {
                    "trial_id": row["id"], "job_id": job_id, "round": row["round"], "k": row["k"], "attempt": 1,
                    "outcome": "" if row["state"] == "leased" else "succeeded", "worker": "", "reason": "",
                    "n_stale": 0, "created_at": at, "lease": row["id"], "lease_until": at + timedelta(hours=1),
                }
                for row in trials
                if row["attempt"]
            ],
        )  # fmt: skip
    with each_database.write() as session:
        session.execute(text("ANALYZE"))
    return each_database, job_id


HOT: dict[str, Callable[[Session, str, str], Any]] = {
    "ask": lambda session, job_id, _: external.ask(session, job_id, 2, "me", 60, 3),
    "expired": lambda session, job_id, _: external.has_expired(session, job_id),
    "report": lambda session, _, leased: external.report(session, leased, leased, 60, 3),
    "status": lambda session, job_id, _: rounds.job_status(session, job_id),
    "claimable": lambda session, _, __: leases.claimable_jobs(session, 32),
    "claimable after an outage": lambda session, _, __: leases.claimable_jobs(session, 32, run_out=False),
    "led": lambda session, _, __: leases.led_states(session, ME),
    "rounds done": lambda session, job_id, _: queries.rounds_done(session, [job_id]),
    "epochs under way": lambda session, job_id, _: queries.running_epochs(session, [job_id]),
    "last event": lambda session, job_id, _: queries.last_events(session, [job_id]),
}


def test_a_hot_query_reads_only_what_is_open(large: tuple[Database, str]) -> None:
    """All on the same rows, which take far longer to write than to ask; an ask or a report moves only a few of them."""
    database, job_id = large
    check = _check_sqlite if database.engine.dialect.name == "sqlite" else _check_postgres
    for name, hot in HOT.items():
        with database.write() as session:
            leased = session.scalars(select(Trial.id).where(Trial.state == "leased").limit(1)).one()
            connection = session.connection()
            asked = _selects(connection, partial(hot, session, job_id, leased))
            assert asked, name
            for statement, parameters in asked:
                check(connection, statement, parameters)


def _selects(connection: Connection, action: Callable[[], Any]) -> list[tuple[str, Any]]:
    """The SELECTs that ``action`` sends, with their parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith("SELECT") and not many:
            sent.append((statement, parameters))

    def send(connection: Connection, statement: str, values: Any) -> Any:
        note(None, None, statement, values, None, False)
        return really_send(connection, statement, values)

    def trace(statement: str) -> None:  # with its values
        note(None, None, statement, (), None, False)

    driver, really_send = connection.connection.driver_connection, quick.send
    if isinstance(driver, sqlite3.Connection):
        driver.set_trace_callback(trace)
        action()
        driver.set_trace_callback(None)
        return sent
    event.listen(connection, "before_cursor_execute", note)
    try:
        with mock.patch.object(quick, "send", send):
            action()
    finally:
        event.remove(connection, "before_cursor_execute", note)
    return sent


_OF_A_WHOLE_JOB = re.compile(
    r"(trials|attempts) USING (COVERING )?INDEX (?!ix_trials_(pending|undone))\S+ \(job_id=\?\)$"
)


def _check_sqlite(connection: Connection, statement: str, parameters: Any) -> None:
    """No table is scanned, nor all that a job ever had; the jobs that have not ended are."""
    plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    tables = ("jobs", "trials", "attempts", "epochs", "job_events")
    scans = [step for step in plan if step.startswith("SCAN") and step.split()[1] in tables]
    assert not [step for step in scans if "ix_jobs_live" not in step], (statement, plan)
    assert not [step for step in plan if _OF_A_WHOLE_JOB.search(step)], (statement, plan)


def _check_postgres(connection: Connection, statement: str, parameters: Any) -> None:
    """Rows that the plan really reads, those that a filter throws away included; rounds are counted from an index."""
    [[plan]] = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
    for node in _nodes(plan[0]["Plan"]):
        if node.get("Relation Name", "search_rounds") != "search_rounds":
            read = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            assert read <= MOST_ROWS, (statement, node)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)
