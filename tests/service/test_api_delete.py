"""Jobs deleted with all that belongs to them; answers that are sent only when they are news, and compressed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from s2e.client import S2EClient
from s2e.client.errors import Conflict, NotFound
from service.cli.main import main
from service.settings import Settings
from service.store import deletion
from service.store.changes import lock_job, move_job
from service.store.engine import Database
from service.store.models import Job, Trial

CountRows = Callable[[Database], dict[str, int]]


def end(database: Database, job_id: str) -> None:
    with database.write() as session:
        move_job(session, lock_job(session, job_id), "completed", "")


@pytest.fixture
def client(service: Any) -> Any:
    with S2EClient(service.url) as connected:
        yield connected


def test_a_deleted_job_takes_its_rows_and_files_along_and_nothing_else(
    client: S2EClient, store_job: Any, database: Database, settings: Settings, count_rows: CountRows
) -> None:
    kept = store_job(succeeded=2)
    before = count_rows(database)
    gone = store_job(succeeded=3)
    for job_id in (kept, gone):
        folder = settings.artifact_root / job_id / "round-0"
        folder.mkdir(parents=True)
        (folder / "trial-0-attempt-1.safetensors").write_bytes(b"model")
    with pytest.raises(Conflict, match="is running"):
        client.delete(gone)
    assert (settings.artifact_root / gone).is_dir()
    end(database, gone)
    client.delete(gone)
    assert count_rows(database) == {**before, "audit": 1}  # which outlives what it tells about
    assert [path.name for path in settings.artifact_root.iterdir()] == [kept]
    assert client.job(kept).state == "running"
    for asked in (client.job, client.delete):
        with pytest.raises(NotFound):
            asked(gone)


def test_a_deletion_that_was_interrupted_is_gone_on_with(
    client: S2EClient, store_job: Any, database: Database, count_rows: CountRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces of one trial and two events each; the job is there until the last of them."""
    monkeypatch.setattr(deletion, "EVENTS", 2)
    monkeypatch.setattr(deletion, "TRIALS", 1)
    job_id = store_job(succeeded=2)
    end(database, job_id)
    for _ in range(3):
        with database.write() as session:
            assert not deletion.delete_piece(session, job_id)
    with database.read() as session:
        assert session.get(Job, job_id) is not None
    client.delete(job_id)
    assert {name for name, n in count_rows(database).items() if n} == {"audit"}


def test_the_command_asks_before_it_deletes(
    client: S2EClient, store_job: Any, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = store_job()
    end(database, job_id)
    main_exits(["delete", job_id, "--yes", "--url", client.url])
    assert "deleted" in capsys.readouterr().out
    with pytest.raises(NotFound):
        client.job(job_id)


def main_exits(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code in (0, None)


# --- conditional and compressed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/rounds", "/trials", "/schedules", "/curves"])
def test_an_answer_is_sent_again_only_when_the_job_has_changed(
    http: httpx.Client, store_job: Any, database: Database, path: str
) -> None:
    address = f"/jobs/{store_job(succeeded=1)}{path}"
    first = http.get(address)
    tag = first.headers["etag"]
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = http.get(address, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert http.get(address, headers={"If-None-Match": '"other"'}).status_code == 200
    end(database, address.split("/")[2])
    changed = http.get(address, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_no_such_job_is_404_with_and_without_a_tag(http: httpx.Client, assert_problem: Any) -> None:
    assert_problem(http.get("/jobs/nosuch", headers={"If-None-Match": "*"}), 404, "not_found")


def test_text_is_compressed_and_a_model_is_not(
    http: httpx.Client, store_job: Any, database: Database, settings: Settings, tmp_path: Path
) -> None:
    job_id = store_job(succeeded=1)
    schedules = http.get(f"/jobs/{job_id}/schedules")
    assert schedules.headers["content-encoding"] == "gzip"
    plain = http.get(f"/jobs/{job_id}/schedules", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == schedules.json()
    folder = settings.artifact_root / job_id
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"0" * 5_000)
    trial_id = http.get(f"/jobs/{job_id}/trials").json()["items"][0]["id"]
    with database.write() as session:
        session.get_one(Trial, trial_id).model = f"{job_id}/model.safetensors"
    model = http.get(f"/trials/{trial_id}/model", headers={"Range": "bytes=10-19"})
    assert (model.status_code, len(model.content)) == (206, 10)
    assert "content-encoding" not in model.headers
