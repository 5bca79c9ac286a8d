"""s2e doctor: finds what is wrong on a machine where it really is, and leaves nothing behind."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from service.cli.main import main
from service.doctor import OK, WARNING, WRONG, Finding, examine
from service.settings import Settings
from service.store.changes import utc_now
from service.store.engine import Database
from service.store.models import Job


def find(settings: Settings, name: str) -> Finding:
    [named] = [finding for finding in examine(settings) if finding.name == name]
    return named


@pytest.fixture
def plain(settings: Settings) -> Settings:
    """Settings of a service that needs neither torch nor Ray."""
    settings.backend, settings.port = "simulated", 1
    return settings


def test_a_healthy_machine_has_nothing_wrong_and_is_left_as_it_was(plain: Settings, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir() if not path.name.startswith("s2e.db-")}
    findings = {finding.name: finding for finding in examine(plain)}
    assert {finding.state for name, finding in findings.items() if name != "api" and "disk" not in name} == {OK}
    assert (findings["api"].state, findings["api"].remedy) == (WARNING, "start it: s2e serve")
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith("s2e.db-")} == before


def test_a_running_api_is_seen(plain: Settings, start_server: Callable[..., Any]) -> None:
    plain.port = 0
    with start_server(plain) as running:
        plain.port = int(running.url.rpartition(":")[2])
        assert find(plain, "api").detail.startswith(running.url)


def test_a_database_of_another_schema_and_one_that_is_locked(plain: Settings, tmp_path: Path) -> None:
    path = make_url(plain.database_url).database or ""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        plain.database_wait_s = 0.05
        locked = find(plain, "sqlite database")
        assert (locked.state, locked.detail) == (WRONG, "it is locked by another program")
    plain.database_url = f"sqlite:///{tmp_path / 'empty.db'}"
    assert "there is none" in find(plain, "sqlite database").detail
    assert not (tmp_path / "empty.db").exists()
    (tmp_path / "empty.db").touch()
    assert find(plain, "sqlite database").remedy == "run: s2e migrate"


def test_folders_that_are_none(plain: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    plain.artifact_root = tmp_path / "file"
    plain.data_root = tmp_path / "nowhere"
    assert find(plain, "artifacts").state == WRONG
    assert "cannot be read" in find(plain, "data").detail


def test_jobs_that_nobody_leads_and_files_of_no_job(
    plain: Settings, store_job: Callable[..., str], database: Database
) -> None:
    job_id = store_job()
    assert find(plain, "dispatcher").state == WRONG
    with database.write() as session:
        job = session.get_one(Job, job_id)
        job.lease_owner, job.lease_until = "me", utc_now().replace(year=2100)
    assert find(plain, "dispatcher").state == OK
    for name in (job_id, "long-gone"):
        (plain.artifact_root / name).mkdir(parents=True)
    assert find(plain, "artifacts of no job").detail == "1 folders: long-gone"


@pytest.mark.parametrize(("host", "key", "state"), [("0.0.0.0", "", WRONG), ("0.0.0.0", "short", WARNING)])
def test_a_key_that_is_missing_or_short(plain: Settings, host: str, key: str, state: str) -> None:
    finding = find(Settings(home=plain.home, host=host, api_key=key or None, backend="simulated"), "api key")
    assert finding.state == state
    assert key not in finding.detail or not key


def test_the_command_says_what_to_do_and_ends_with_1(
    plain: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("S2E_BACKEND", "simulated")
    monkeypatch.setenv("S2E_PORT", "1")
    for home, code in ((plain.home, 0), (tmp_path / "new", 1)):
        monkeypatch.setenv("S2E_HOME", str(home))
        with pytest.raises(SystemExit) as ended:
            main(["doctor"])
        assert (ended.value.code or 0) == code
    assert "-> run: s2e migrate, or s2e serve" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["doctor", "--json"])
    assert {"name", "state", "detail", "remedy"} == set(json.loads(capsys.readouterr().out)[0])
