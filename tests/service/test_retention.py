"""Files of ended jobs go by rule: never those of a job that may go on, nor a model that a report names."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from s2e.files import files_below
from service import uploads
from service.dispatch.retention import Retention, Rules
from service.doctor import examine
from service.settings import Settings
from service.store import retention
from service.store.changes import utc_now
from service.store.engine import Database
from service.store.models import AuditRow, DatasetRow, Job, JobReport, Trial

ROUND = "round-0"


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "artifacts")
    pytest.importorskip("fsspec")
    return f"memory://bucket-{uuid.uuid4().hex}"


@pytest.fixture
def store(store_job: Callable[..., str], database: Database, root: str) -> Callable[..., str]:
    """Stores a job that has ended, with files of three trials of which a report names the last, which is the worst."""

    def make(state: str = "completed", days: float = 0.0, report: bool = True) -> str:
        job_id, files = store_job(succeeded=3), files_below(root)
        for k in range(3):
            for suffix in ("safetensors", "json", "margins.npz"):
                files.write(f"{job_id}/{ROUND}/trial-{k}-attempt-1.{suffix}", b"x" * 100)
        for name in (f"{ROUND}/trial-0.checkpoint.safetensors", "noise-7.json", "labels.npz"):
            files.write(f"{job_id}/{name}", b"x" * 10)
        with database.write() as session:
            job = session.get_one(Job, job_id)
            job.state, job.finished_at = state, utc_now() - timedelta(days=days)
            for trial in session.scalars(select(Trial).where(Trial.job_id == job_id)):
                trial.model, trial.objective = model(job_id, trial.k), 0.1 * (trial.k + 1)
            if report:
                rows = {"rows": [], "best_run_model": model(job_id, 2), "recommended_model": None}
                session.add(JobReport(job_id=job_id, report=rows, created_at=utc_now()))
        return job_id

    return make


def model(job_id: str, k: int) -> str:
    return f"{job_id}/{ROUND}/trial-{k}-attempt-1.safetensors"


def left(root: str, job_id: str) -> set[str]:
    return {stored.path.removeprefix(f"{job_id}/") for stored in files_below(root).below(job_id)}


def of_trial(k: int, *suffixes: str) -> set[str]:
    return {f"{ROUND}/trial-{k}-attempt-1.{suffix}" for suffix in suffixes}


def models_in_rows(database: Database, job_id: str) -> list[int]:
    with database.read() as session:
        return list(
            session.scalars(select(Trial.k).where(Trial.job_id == job_id, Trial.model.is_not(None)).order_by(Trial.k))
        )


def test_the_models_of_the_best_trials_and_of_the_report_are_kept(
    store: Callable[..., str], database: Database, root: str
) -> None:
    done, open_, failed = store(), store("running"), store("failed")
    keeps = Retention(database, root, Rules(models=1), "me")
    assert keeps.look() == 3  # model and description of the second trial, and a checkpoint
    audit = {"labels.npz", "noise-7.json"}.union(*(of_trial(k, "margins.npz") for k in range(3)))
    assert left(root, done) == audit | of_trial(0, "safetensors", "json") | of_trial(2, "safetensors", "json")
    assert models_in_rows(database, done) == [0, 2]
    assert len(left(root, open_)) == len(left(root, failed)) == 12
    assert models_in_rows(database, open_) == [0, 1, 2]
    assert keeps.look() == 0
    with database.read() as session:
        (row,) = session.scalars(select(AuditRow)).all()
        assert session.get_one(Job, done).lease_owner is None
    assert (row.target, row.action) == (done, "retention (models of 1 best trials): 3 files, 210 bytes")


def test_files_of_old_jobs_go_but_for_what_the_report_names(
    store: Callable[..., str], database: Database, root: str
) -> None:
    old, new, old_failed, old_open = store(days=31), store(days=29), store("failed", 31, False), store("running", 31)
    assert Retention(database, root, Rules(days=30), "me").look() == 10 + 12
    assert left(root, old) == of_trial(2, "safetensors", "json")
    assert models_in_rows(database, old) == [2]
    assert left(root, old_failed) == set()
    assert models_in_rows(database, old_failed) == []
    assert len(left(root, new)) == len(left(root, old_open)) == 12


def test_above_the_cap_the_oldest_go_first(store: Callable[..., str], database: Database, root: str) -> None:
    jobs = [store(days=days) for days in (3, 2, 1)]  # 930 bytes each, of which 200 stay
    store("running")
    assert Retention(database, root, Rules(n_bytes=2_100), "me").look() == 10
    assert [len(left(root, job_id)) for job_id in jobs] == [2, 12, 12]
    assert Retention(database, root, Rules(n_bytes=0), "me").look() == 20
    assert [len(left(root, job_id)) for job_id in jobs] == [2, 2, 2]


def test_what_another_holds_is_left_alone_and_an_interrupted_look_is_gone_on_with(
    store: Callable[..., str], database: Database, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = store(days=5)
    with database.write() as session:
        assert retention.hold(session, job_id, "another", 60.0)
        assert not retention.hold(session, job_id, "me", 60.0)
    keeps = Retention(database, root, Rules(days=1), "me")
    assert keeps.look() == 0
    with database.write() as session:
        retention.let_go(session, job_id, "another")
    files = files_below(root)
    delete, deleted = type(files).delete, list[str]()

    def away_after_two(self: Any, path: str) -> None:
        if len(deleted) == 2:
            raise OSError("the store is away")
        deleted.append(path)
        delete(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(type(files), "delete", away_after_two)
        with pytest.raises(OSError, match="away"):
            keeps.look()
    assert len(left(root, job_id)) == 10
    assert keeps.look() == 8
    assert left(root, job_id) == of_trial(2, "safetensors", "json")
    assert models_in_rows(database, job_id) == [2]


def test_the_doctor_says_what_is_kept(settings: Settings) -> None:
    def said(settings: Settings) -> str:
        return next(finding.detail for finding in examine(settings) if finding.name == "retention")

    assert said(settings) == "kept: everything until a job is deleted; uploads that nothing names for 30 days"
    settings.keep_upload_days = 0
    assert said(settings) == "kept: everything until a job is deleted"
    settings.keep_models, settings.keep_days, settings.keep_bytes = 3, 30, 50 * 10**9
    assert said(settings) == (
        "kept: of each job the models of its 3 best trials; files for 30 days; at most 50 GB of ended jobs, "
        "and what reports name"
    )


def test_what_was_sent_long_ago_for_nothing_is_deleted(
    store_job: Callable[..., str], database: Database, tmp_path: Path
) -> None:
    """A folder is new, one just looked at, one registered, one named by a job of the past; the last one is nobody's."""
    names = [uploads.new_folder(tmp_path).name for _ in range(5)]
    new, looked_at, registered, of_job, nobodys = (f"{uploads.UPLOADS}/{name}" for name in names)
    for folder in (looked_at, registered, of_job, nobodys):
        (tmp_path / folder / "a.csv").write_text("x")
        for path in (tmp_path / folder / "a.csv", tmp_path / folder):
            os.utime(path, (time.time() - 3 * 86_400,) * 2)
    (tmp_path / uploads.UPLOADS / "mine").mkdir()
    os.utime(tmp_path / uploads.UPLOADS / "mine", (0, 0))
    uploads.touch(tmp_path, [looked_at])
    job_id = store_job()
    with database.write() as session:
        job = session.get_one(Job, job_id)
        job.spec = {**job.spec, "data": {"name": "table", "params": {"path": f"{of_job}/a.csv"}}}
        job.state = "completed"
        row = DatasetRow(name="a", owner="", kind="table", data={"params": {"path": f"{registered}/a.csv"}})
        row.fingerprint, row.n_bytes, row.preview, row.proposed, row.created_at = "", 1, {}, {}, utc_now()
        session.add(row)
    artifacts = str(tmp_path / "artifacts")
    assert Retention(database, artifacts, Rules(), "me", tmp_path).look() == 0
    keeps = Retention(database, artifacts, Rules(upload_days=2), "me", tmp_path)
    assert keeps.look() == 1
    left = {f"{uploads.UPLOADS}/{one.name}" for one in (tmp_path / uploads.UPLOADS).iterdir()}
    assert left == {new, looked_at, registered, of_job, f"{uploads.UPLOADS}/mine"}
    assert keeps.look() == 0
