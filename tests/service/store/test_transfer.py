"""Databases copied from one kind to the other and back, and backed up while they are in use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from s2e.door import parse_job
from service.cli.main import main
from service.store import leases, repository, transfer
from service.store.changes import emit, lock_job
from service.store.engine import Database
from service.store.models import AuditRow, Base, Job, JobEvent, Trial
from service.testing.driver import Driver
from workers.simulated import SimulatedTrial

AWKWARD = {"name": "größer ≠ 'kleiner' \\ %", "train": {"learning_rate": 1e-16 + 0.1}, "seed": 2**63 - 1}


def awkward(trial: Any) -> SimulatedTrial:
    """Numbers that survive only where they are kept bit for bit."""
    return SimulatedTrial.constant(0.1 + trial.k / 3e16 + 0.2, len(trial.keep_rate))


def quiet(_table: str, _n: int) -> None:
    """Nobody listens."""


def everything(url: str) -> dict[str, list[Any]]:
    database = Database(url)
    with database.read() as session:
        tables = {t.name: session.execute(select(t).order_by(*t.primary_key)).all() for t in transfer.TABLES}
    database.close()
    return {name: [tuple(row) for row in rows] for name, rows in tables.items()}


def test_there_and_back_again_every_row_is_the_same(
    sqlite_url: str, postgres_url: str, tmp_path: Path, quick_search: Any
) -> None:
    source = Database(sqlite_url)
    driver = Driver(source, quick_search, evaluate=awkward)
    driver.run()
    with source.write() as session:
        repository.create_job(session, parse_job(AWKWARD), "key", "hash", "ada")
        session.add(
            AuditRow(at=driver.job().created_at, owner="ada", action="a", target="t", request_id="r", address="")
        )
    source.close()
    before = everything(sqlite_url)
    assert len(before["epochs"]) > 10
    transfer.copy(sqlite_url, postgres_url, quiet)
    back = f"sqlite:///{tmp_path / 'back.db'}"
    transfer.copy(postgres_url, back, quiet)
    assert everything(postgres_url) == before == everything(back)
    for url in (postgres_url, back):
        target = Database(url)
        with target.write() as session:  # new rows are numbered behind the old ones
            emit(session, lock_job(session, driver.job_id), "job", {"state": "completed", "reason": ""})
            assert max(session.scalars(select(JobEvent.id))) == before["job_events"][-1][0] + 1
        target.close()
    with pytest.raises(transfer.TransferError, match="not empty: there are rows in"):
        transfer.copy(sqlite_url, postgres_url, quiet)
    assert {table.name for table in Base.metadata.sorted_tables} - before.keys() == {"workers", "dispatchers"}


def test_a_backup_is_taken_of_a_database_in_use_and_restored_by_a_copy(
    sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], quick_search: Any
) -> None:
    source = Database(sqlite_url)
    driver = Driver(source, quick_search)
    driver.run(until=lambda: driver.trial_states().get("running"))
    with source.write() as session:
        leases.record_dispatcher(session, "alive")
    restored = f"sqlite:///{tmp_path / 'restored.db'}"
    with pytest.raises(SystemExit) as refused:
        main(["db", "copy", "--from", sqlite_url, "--to", restored])
    assert refused.value.code == 2
    assert "stop the service first" in capsys.readouterr().err
    file = tmp_path / "backup.db"
    for code in (0, 2):
        with pytest.raises(SystemExit) as ended:
            main(["db", "backup", str(file), "--from", sqlite_url])
        assert (ended.value.code or 0) == code
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("backup*")] == ["backup.db"]
    with pytest.raises(SystemExit):
        main(["db", "copy", "--from", f"sqlite:///{file}", "--to", restored])
    copied = Database(restored)
    with copied.read() as session:
        job = session.get_one(Job, driver.job_id)
        assert (job.state, job.lease_owner) == ("running", None)
        assert "running" in session.scalars(select(Trial.state)).all()
    copied.close()
    source.close()
