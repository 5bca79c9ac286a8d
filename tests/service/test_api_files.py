"""Artifacts as resources: models with ranges and ETags, schedules and curves as CSV; and the client's part."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import s2e
from s2e.client import S2EClient
from s2e.client.errors import NotFound
from s2e.words import EpochMetrics, Population, numbers_of
from service.cli.main import main
from service.settings import Settings
from service.store.engine import Database
from service.store.models import Job, JobReport, Trial
from workers.backend import PopulationFinished, PopulationKey
from workers.trainer import run_population
from workers.wire import decode

REPORT: dict[str, Any] = {
    "recommended": [0, 1],
    "best_run": [0, 0],
    "best_run_validation_accuracy": 0.9,
    "keep_rate": [1.0] * 12,
    "verdict": "These seeds do not separate it.",
    "rows": [
        {
            "label": "searched", "title": "searched schedule", "keep_rate": [1.0] * 12, "test_accuracy": [0.8, 0.9],
            "mean": 0.85, "half_width": 0.1, "label_precision": 0.7, "difference": None, "difference_half_width": None,
        }
    ],
}  # fmt: skip


@pytest.fixture
def trained(
    store_job: Any, database: Database, settings: Settings, make_population: Callable[..., Population]
) -> tuple[str, str]:
    """A job with a report, whose first trial has a model that was really trained: the ids of both."""
    pytest.importorskip("torch")
    job_id: str = store_job(succeeded=2)
    key = PopulationKey(job_id, 0, 0, 1)
    population = make_population(ks=(0,), n_epochs=1)
    steps = run_population(vars(key), s2e.words.to_json(population), str(settings.artifact_root), None)
    *_, finished = map(decode, steps)
    assert isinstance(finished, PopulationFinished)
    path = finished.results[0].model
    with database.write() as session:
        trial = session.query(Trial).filter_by(job_id=job_id, k=0).one()
        trial.model = path
        report = REPORT | {"best_run_model": path, "recommended_model": None}
        at = session.get_one(Job, job_id).created_at
        session.add(JobReport(job_id=job_id, report=report, created_at=at))
        return job_id, trial.id


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_a_model_is_sent_whole_in_ranges_and_with_an_etag(
    http: httpx.Client, trained: tuple[str, str], settings: Settings, database: Database
) -> None:
    address = f"/trials/{trained[1]}/model"
    with database.read() as session:
        stored = settings.artifact_root / str(session.get_one(Trial, trained[1]).model)
    whole = http.get(address)
    assert whole.content == stored.read_bytes()
    assert whole.headers["content-type"] == "application/octet-stream"
    assert whole.headers["etag"]
    unchanged = http.get(address, headers={"If-None-Match": whole.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    part = http.get(address, headers={"Range": "bytes=8-15"})
    assert (part.status_code, part.content) == (206, stored.read_bytes()[8:16])
    assert part.headers["etag"] == whole.headers["etag"]
    other = http.get(address, headers={"Range": "bytes=8-15", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, stored.read_bytes())
    described = json.loads(stored.with_suffix(".json").read_text())
    assert http.get(address, params={"format": "json"}).json() == described
    assert http.get(address, headers={"Accept": "application/json"}).json() == described


def test_what_was_not_kept_is_not_found(
    http: httpx.Client, trained: tuple[str, str], database: Database, assert_problem: Any
) -> None:
    job_id, trial_id = trained
    trials = http.get(f"/jobs/{job_id}/trials").json()["items"]
    without = next(trial["id"] for trial in trials if trial["model"] is None)
    assert_problem(http.get(f"/trials/{without}/model"), 404, "not_found")
    assert_problem(http.get("/trials/nosuch/model"), 404, "not_found")
    assert_problem(http.get(f"/trials/{trial_id}/model", params={"format": "csv"}), 422, "invalid_parameter")
    for path in ("gone/model.safetensors", "../outside.safetensors"):
        with database.write() as session:
            session.get_one(Trial, trial_id).model = path
        assert_problem(http.get(f"/trials/{trial_id}/model"), 404, "not_found")


def test_the_schedule_is_a_table_too(http: httpx.Client, store_job: Any) -> None:
    job_id = store_job(succeeded=2)
    keep_rate = http.get(f"/jobs/{job_id}/schedule").json()["keep_rate"]
    for asked in ({"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}):
        rows = rows_of(http.get(f"/jobs/{job_id}/schedule", **asked))
        assert [(int(row["epoch"]), float(row["keep_rate"])) for row in rows] == list(enumerate(keep_rate))


def test_curves_are_a_table_of_every_number_and_network(http: httpx.Client, store_job: Any) -> None:
    trial = http.get(f"/jobs/{store_job(succeeded=1)}/trials").json()["items"][0]["id"]
    rows = rows_of(http.get(f"/trials/{trial}/epochs", params={"format": "csv", "max_points": 2}))
    names = [number.name for number in numbers_of(EpochMetrics)]
    each = [number.name for number in numbers_of(EpochMetrics) if number.networks]
    assert list(rows[0]) == ["epoch", *names, *(f"network{n}_{name}" for n in range(2) for name in each)]
    assert [int(row["epoch"]) for row in rows] == list(range(12)), "every epoch, however few points were asked for"
    assert [float(row["loss"]) for row in rows] == [1 / (t + 1) for t in range(12)]
    assert {row["test_accuracy"] for row in rows} == {""}, "not measured"
    assert rows[0]["network0_validation_accuracy"] == ""
    assert float(rows[3]["network0_validation_accuracy"]) == 3 / 100


def test_the_client_fetches_a_model_that_torch_can_load(service: Any, trained: tuple[str, str], tmp_path: Path) -> None:
    with S2EClient(service.url) as client:
        path = client.save_model(trained[1], tmp_path / "models")
        assert client.report(trained[0]).models == {client.trial(trained[1]).model: trained[1]}
        with pytest.raises(NotFound):
            client.save_model("nosuch", tmp_path / "models")
    module = s2e.load_model(path)
    assert [tuple(parameter.shape) for parameter in module.parameters()] == [(256, 64), (256,), (10, 256), (10,)]
    assert sorted(file.suffix for file in path.parent.iterdir()) == [".json", ".safetensors"]


def test_a_report_is_saved_with_all_that_it_names(
    service: Any, trained: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("S2E_URL", service.url)
    for arguments in (["report", trained[0], "--save", str(tmp_path / "out")], ["report", trained[0]]):
        with pytest.raises(SystemExit):
            main(arguments)
    saved, printed = capsys.readouterr().out.split("\nRecommended schedule")
    model = tmp_path / "out" / f"trial-{trained[1]}.safetensors"
    for line in saved.splitlines():
        assert Path(line.partition(":")[2].strip()).is_file(), line
    assert f"model of the best single run: {model}" in " ".join(saved.split())
    assert json.loads((tmp_path / "out" / "report.json").read_text())["verdict"] == REPORT["verdict"]
    assert len((tmp_path / "out" / "schedule.csv").read_text().splitlines()) == 13
    # only what is there: nothing of a model that was not kept, and no file that nobody writes
    assert f"model of the best single run: s2e model {trained[1]}" in " ".join(printed.split())
    assert "model of the recommended schedule" not in printed
    assert "schedule.json" not in printed
    with pytest.raises(SystemExit):
        main(["model", trained[1], "--output", str(tmp_path / "again")])
    assert capsys.readouterr().out.strip() == str(tmp_path / "again" / model.name)
