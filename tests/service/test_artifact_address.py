"""A service whose artifacts are kept at an address: trained, fetched, ready and deleted as below a folder."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from s2e.artifacts import load_model
from s2e.client import S2EClient
from s2e.files import files_below
from s2e.words import DataError, Population, to_json
from service import disk
from service.doctor import WRONG, examine
from service.settings import Settings
from service.store.engine import Database
from service.store.models import Job, Trial
from workers.backend import PAUSED, EpochReported, PopulationFinished, PopulationKey, PopulationLost
from workers.trainer import run_population
from workers.wire import decode

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("torch")


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    address = f"memory://bucket-{uuid.uuid4().hex}/s2e"
    yield Settings(home=settings.home, port=0, artifact_root=address)
    with suppress(FileNotFoundError):
        fsspec.filesystem("memory").rm(address.rpartition("/")[0], recursive=True)


@pytest.fixture
def trained(
    store_job: Any, database: Database, settings: Settings, make_population: Callable[..., Population]
) -> tuple[str, str]:
    """A job, and its first trial, whose model lies at the address."""
    job_id: str = store_job(succeeded=2)
    arguments = {"job_id": job_id, "round": 0, "group": 0, "attempt": 1}, to_json(make_population(ks=(0,), n_epochs=2))
    *_, finished = map(decode, run_population(*arguments, settings.artifacts, None))
    assert isinstance(finished, PopulationFinished)
    with database.write() as session:
        trial = session.query(Trial).filter_by(job_id=job_id, k=0).one()
        trial.model = finished.results[0].model
        return job_id, trial.id


def test_a_setting_with_an_address_is_one(settings: Settings) -> None:
    assert settings.artifacts.startswith("memory://bucket-")
    assert settings.artifact_root == settings.home / "artifacts"
    assert "secret" not in repr(Settings(home=settings.home, artifact_root="s3://key:secret@bucket"))


def test_a_model_is_sent_in_ranges_and_with_an_etag(
    http: httpx.Client, trained: tuple[str, str], settings: Settings, database: Database, assert_problem: Any
) -> None:
    with database.read() as session:
        path = str(session.get_one(Trial, trained[1]).model)
    content, address = files_below(settings.artifacts).read(path), f"/trials/{trained[1]}/model"
    whole = http.get(address)
    assert whole.content == content
    assert whole.headers["content-disposition"] == f'attachment; filename="trial-{trained[1]}.safetensors"'
    etag = whole.headers["etag"]
    unchanged = http.get(address, headers={"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", etag)
    assert http.get(address, headers={"If-None-Match": '"another"'}).content == content
    for asked, wanted in (("8-15", content[8:16]), ("100-", content[100:]), ("-7", content[-7:])):
        part = http.get(address, headers={"Range": f"bytes={asked}", "If-Range": etag})
        assert (part.status_code, part.content) == (206, wanted)
        start = content.index(wanted) if asked == "8-15" else len(content) - len(wanted)
        assert part.headers["content-range"] == f"bytes {start}-{start + len(wanted) - 1}/{len(content)}"
    other = http.get(address, headers={"Range": "bytes=8-15", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, content)
    beyond = http.get(address, headers={"Range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(content)}")
    assert http.get(address, params={"format": "json"}).json()["model"] == path
    with database.write() as session:
        session.get_one(Trial, trained[1]).model = "gone/model.safetensors"
    assert_problem(http.get(address), 404, "not_found")


def test_a_model_is_loaded_from_its_address(trained: tuple[str, str], settings: Settings, database: Database) -> None:
    with database.read() as session:
        path = str(session.get_one(Trial, trained[1]).model)
    assert load_model(f"{settings.artifacts}/{path}").described["model"] == path
    with pytest.raises(DataError, match=r"gone\.safetensors is missing"):
        load_model(f"{settings.artifacts}/gone.safetensors")


def test_a_deleted_job_is_deleted_there_too(
    service: Any, trained: tuple[str, str], settings: Settings, database: Database
) -> None:
    files = files_below(settings.artifacts)
    files.write("another/labels.npz", b"kept")
    assert list(files.below(trained[0]))
    with database.write() as session:
        session.get_one(Job, trained[0]).state = "completed"
    with S2EClient(service.url) as client:
        client.delete(trained[0])
    assert files.folders() == ["another"]


def test_a_paused_population_goes_on_from_its_checkpoint_there(
    settings: Settings, make_population: Callable[..., Population], monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers import pausing

    monkeypatch.setattr(pausing, "LOOK_S", 0.0)
    population, key = make_population(ks=(0, 1), n_epochs=6), PopulationKey("job", 0, 0, 1)
    events, told = run_population(to_json(key), to_json(population), settings.artifacts, None), list[Any]()
    for event in map(decode, events):
        told.append(event)
        if isinstance(event, EpochReported) and len(told) == 3:
            pausing.ask(settings.artifacts, key)
    assert isinstance(told[-1], PopulationLost)
    assert told[-1].cause == PAUSED
    following = {"job_id": "job", "round": 0, "group": 0, "attempt": 2}
    again = list(map(decode, run_population(following, to_json(population), settings.artifacts, None)))
    alone = {**following, "job_id": "alone"}
    calm = list(map(decode, run_population(alone, to_json(population), settings.artifacts, None)))
    assert [e.epochs for e in again if isinstance(e, EpochReported)] == [
        e.epochs for e in calm if isinstance(e, EpochReported)
    ]
    names = [stored.path for stored in files_below(settings.artifacts).below("job")]
    assert not [name for name in names if "unfinished" in name or "pause" in name]


def test_readiness_and_the_doctor_say_that_a_store_cannot_be_written_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, http: httpx.Client
) -> None:
    assert disk.trouble(settings.artifacts) == ""

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError("Access Denied at s3://key:secret@bucket")

    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "pipe_file", refused)
    disk._store_trouble.cache_clear()
    said = disk.trouble(settings.artifacts)
    assert "the artifact store cannot be written to: Access Denied" in said
    assert "secret" not in said
    answer = http.get(str(http.base_url).replace("/api/v1/", "/readyz"))
    assert (answer.status_code, "artifact store" in json.dumps(answer.json())) == (503, True)
    (finding,) = [finding for finding in examine(settings) if finding.name == "artifacts"]
    assert finding.state == WRONG
    disk._store_trouble.cache_clear()


def test_a_store_that_is_away_is_no_bug_of_ours(
    service: Any, trained: tuple[str, str], database: Database, monkeypatch: pytest.MonkeyPatch, assert_problem: Any
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise RuntimeError("EndpointConnectionError: https://key:secret@store")

    memory = fsspec.filesystem("memory").__class__
    for name in ("info", "rm", "cat_file"):
        monkeypatch.setattr(memory, name, away)
    with database.write() as session:
        session.get_one(Job, trained[0]).state = "completed"
    for method, path in (("GET", f"/trials/{trained[1]}/model"), ("DELETE", f"/jobs/{trained[0]}")):
        problem = assert_problem(service.http.request(method, path), 503, "unavailable")
        assert "secret" not in problem["detail"]
    monkeypatch.undo()
    assert service.http.delete(f"/jobs/{trained[0]}").status_code == 204
