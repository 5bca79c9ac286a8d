"""A service that trains on labels somebody gave: a worker estimates their noise before the first round, and all that
follows is what a search in one process makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet
import pytest
from sklearn.datasets import load_digits

from s2e.client.http import S2EClient
from s2e.door import parse_job
from s2e.labels.job_audit import audit_of_folder
from s2e.local import run
from s2e.words import CompareReport, JobSpec, Report, read, replace
from service.cli.main import main
from service.dispatch.orchestrator import Orchestrator
from service.store import leases, repository, rounds
from service.store.engine import Database
from service.store.models import Job, JobReport
from workers.inline import InlineBackend

OWNER = "test:1"
JOB = {
    "data": {"name": "csv", "csv": {"path": "digits.csv"}, "n_validation": 100},
    "train": {"network": "mlp_tabular", "network_params": {"hidden": [32]}, "n_epochs": 3, "batch_size": 64},
    "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
    "report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """900 digits as a table, a quarter of the labels wrong."""
    digits, rng = load_digits(), np.random.default_rng(0)
    true_S = digits.target[:900]
    given_S = np.where(rng.random(900) < 0.25, (true_S + rng.integers(1, 10, 900)) % 10, true_S)
    rows = (",".join(f"{x:.0f}" for x in row) + f",{y}" for row, y in zip(digits.data[:900], given_S, strict=True))
    (tmp_path / "digits.csv").write_text("\n".join(rows))
    return tmp_path


def dispatched(database: Database, job: dict[str, Any], root: Path) -> str:
    """The job, trained to its end in this process as a dispatcher would."""
    with database.write() as session:
        job_id, _ = repository.create_job(session, parse_job(job))
    return trained(database, job_id, root)


def trained(database: Database, job_id: str, root: Path) -> str:
    backend = InlineBackend(root / "artifacts", root)
    orchestrator = Orchestrator(database, backend, OWNER)
    with database.write() as session:
        leases.acquire_lease(session, job_id, OWNER, 3600)
    orchestrator.take_over(job_id)
    for _ in range(1_000):
        orchestrator.record(job_id, backend.poll())
        if orchestrator.advance(job_id):
            return job_id
    raise AssertionError("the job does not end")


def check_audit(
    database: Database, job_id: str, http: httpx.Client, assert_problem: Any, root: Path, capsys: Any
) -> None:
    """Likely wrong labels: free from the job's trainings, and from the cross-fitting of its estimate."""
    first = http.get(f"/jobs/{job_id}/labels", params={"limit": 30}).json()
    assert (first["score"], first["n_rows"], first["n_trainings"]) == ("cross_fitted", 900, 0)
    assert first["n_issues"] == pytest.approx(0.25 * 900, abs=0.05 * 900)
    digits = load_digits()
    truth = {str(i + 1): str(digits.target[i]) for i in range(900)}
    wrong = [label["given_label"] != truth[label["id"]] for label in first["items"]]
    assert sum(wrong) >= 28  # of the 30 worst; by chance 8
    assert all(label["is_label_issue"] and label["probability_wrong"] > 0.5 for label in first["items"])

    with S2EClient(str(http.base_url).removesuffix("/api/v1/")) as client:
        free = list(client.labels(job_id, score="free"))
        assert (len(free), len({label.id for label in free})) == (900, 900)
        for score in ("free", "cross_fitted"):
            for split, n_rows in {"train": 620, "validation": 100, "test": 180}.items():
                judged = list(client.labels(job_id, score=score, split=split))
                assert (len(judged), {label.split for label in judged}) == (n_rows, {split})
                called = [label.given_label != truth[label.id] for label in judged if label.is_label_issue]
                assert 0.6 * 0.25 * n_rows < len(called) < 1.4 * 0.25 * n_rows
                assert sum(called) / len(called) > 0.6  # by chance 0.25
        alone = audit_of_folder(root / "alone" / "search", "free")  # the same job in one process, bit for bit
        assert [label.label_quality for label in free] == alone.label_quality.tolist()
        assert [label.id for label in free] == alone.id.astype(str).tolist()
        assert [label.label_quality for label in free] == sorted(label.label_quality for label in free)
        assert all(label.probability_wrong is None for label in free)
        found_wrong = sum(label.given_label != truth[label.id] for label in free[:100])
        assert found_wrong > 60  # by chance 25
        # two trials of the search, one of the tuning, four schedules on two seeds: every one is a whole training
        assert client.worst_labels(job_id, score="free").n_trainings == 11
        pair = {(label.given_label, label.predicted_label) for label in client.labels(job_id, given="3", likely="5")}
        assert pair <= {("3", "5")}
        csv, parquet = root / "labels.csv", root / "labels.parquet"
        client.save_labels(job_id, csv, issues=True)
        client.save_labels(job_id, parquet)
    assert len(csv.read_text().splitlines()) == 1 + first["n_issues"]
    table = pyarrow.parquet.read_table(parquet)
    assert (table.num_rows, table.column("split").to_pylist().count("test")) == (900, 180)

    url = str(http.base_url).removesuffix("/api/v1/")
    with pytest.raises(SystemExit, match="0"):
        main(["audit", job_id, "--url", url, "-n", "5"])
    assert "are taken to be wrong" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["audit", job_id, "--url", url, "-n", "5", "--split", "test", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert ({label["split"] for label in shown["items"]}, shown["n_chosen"]) == ({"test"}, 180)
    with pytest.raises(SystemExit, match="0"):
        main(["audit", job_id, "--url", url, "--rerun", "2", "--worst", "150"])
    again = trained(database, capsys.readouterr().out.strip(), root)
    report = http.get(f"/jobs/{again}/report").json()
    assert [row["label"] for row in report["rows"]] == ["as given", "dropped", "relabelled", "softened"]
    assert all(len(row["last_ten"]["values"]) == 2 for row in report["rows"])
    assert all(row["last_ten"]["difference_half_width"] is not None for row in report["rows"][1:])
    assert "revise the same 150, by the audit of job" in report["verdict"]
    assert "no gain of it is proven" in report["verdict"]
    audited = http.get(f"/jobs/{again}").json()["spec"]["data"]["audit"]
    assert (audited["job"], len(audited["rows"]), len(audited["labels"])) == (job_id, 150, 150)
    other_split = {**JOB, "data": {**JOB["data"], "n_validation": 90, "audit": {"job": job_id}}}
    refused = assert_problem(http.post("/jobs", json=other_split), 422, "invalid_spec")
    assert "split alike" in refused["errors"][0]["allowed"]
    (root / "job.json").write_text(json.dumps({**JOB, "data": {**JOB["data"], "labels": "trusted"}}))
    with pytest.raises(SystemExit):
        main(["audit", str(root / "job.json")])
    assert "only labels that are given are audited" in capsys.readouterr().err
    assert_problem(http.get(f"/jobs/{job_id}/labels", params={"score": "best"}), 422, "invalid_parameter")
    other = http.post("/jobs", json={}).json()["id"]
    assert "labels is injected" in assert_problem(http.get(f"/jobs/{other}/labels"), 404, "not_found")["detail"]


NEEDS_TRUTH = {"label_precision", "label_recall", "clean_correct", "wrong_correct", "wrong_memorised"}


def known(answer: Any) -> set[str]:
    """Names of numbers in an answer that nobody can know, where they are not null."""
    if isinstance(answer, dict):
        own = {name for name, value in answer.items() if name in NEEDS_TRUTH and value not in (None, [], {})}
        return own.union(*map(known, answer.values()))
    return set().union(*map(known, answer)) if isinstance(answer, list) else set()


def check_nothing_needs_the_truth(http: httpx.Client, job_id: str, capsys: Any) -> None:
    """No number and no word on any surface rests on labels that nobody knows to be right."""
    trials = http.get(f"/jobs/{job_id}/trials").json()["items"]
    epochs = [http.get(f"/trials/{trial['id']}/epochs").json() for trial in trials]
    for answer in (trials, *(http.get(f"/jobs/{job_id}{path}").json() for path in ("", "/report", "/rounds"))):
        assert known(answer) == set()
    for series in (each["series"] for each in epochs):
        assert {name for name in NEEDS_TRUTH if any(value is not None for value in series.get(name) or ())} == set()
    for name in NEEDS_TRUTH:
        curves = http.get(f"/jobs/{job_id}/curves", params={"metric": name}).json()
        assert all(value is None for item in curves["items"] for value in item["mean"])
    exported = http.get(f"/trials/{trials[0]['id']}/epochs", params={"format": "csv"}).text.splitlines()
    columns = [i for i, name in enumerate(exported[0].split(",")) if name in NEEDS_TRUTH]
    assert all(row.split(",")[i] == "" for row in exported[1:] for i in columns)
    url = str(http.base_url).removesuffix("/api/v1/")
    for words in (["report", job_id], ["show", job_id]):
        with pytest.raises(SystemExit, match="0"):
            main([*words, "--url", url])
        text = capsys.readouterr().out
        assert "precision" not in text.lower()
    report = http.get(f"/jobs/{job_id}/report").json()
    assert "precision" not in f"{report['verdict']} {report['basis']}".lower()


def test_a_worker_estimates_the_noise_of_given_labels_before_the_first_round(
    database: Database, http: httpx.Client, assert_problem: Any, root: Path, capsys: Any
) -> None:
    job_id = dispatched(database, JOB, root)
    with database.read() as session:
        stored, spec = session.get_one(Job, job_id), rounds.load_spec(session, job_id)
        report = read(Report, session.get_one(JobReport, job_id).report)
        history = rounds.load_history(session, job_id)
    assert (stored.state, stored.reason) == ("completed", "")
    assert spec.data.estimate is not None
    assert spec.data.estimate.noise_rate == pytest.approx(0.25, abs=0.04)
    alone, ours = run(parse_job(JOB), data_root=root, output=root / "alone", progress=False, workers=1)
    assert [record.round for record in history] == [record.round for record in alone]
    without_models = {"best_run_model": None, "recommended_model": None}
    assert replace(report, **without_models) == replace(ours, **without_models)
    assert all(row.label_precision is None for row in report.rows)
    assert report.accuracy == "accuracy against the given labels"
    check_nothing_needs_the_truth(http, job_id, capsys)
    check_audit(database, job_id, http, assert_problem, root, capsys)


def test_labels_that_are_all_noise_end_the_job_before_its_first_round(database: Database, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = (",".join(f"{x:.3f}" for x in rng.normal(size=4)) + f",{rng.integers(2)}" for _ in range(400))
    (tmp_path / "digits.csv").write_text("\n".join(rows))
    job_id = dispatched(database, JOB, tmp_path)
    with database.read() as session:
        stored = session.get_one(Job, job_id)
        assert rounds.job_status(session, job_id).n_rounds == 0
    assert stored.state == "failed"
    assert "cannot be estimated" in stored.reason
    assert "report.tau" in stored.reason


def test_a_slip_in_the_table_ends_the_job_before_its_first_round(database: Database, tmp_path: Path) -> None:
    lines = [f"{i}.5,{i % 7},{'ab'[i % 2]}" for i in range(400)]
    (tmp_path / "digits.csv").write_text("\n".join(["x,z,class", *lines]))
    job_id = dispatched(database, {**JOB, "report": {**JOB["report"], "tau": 0.2}}, tmp_path)
    with database.read() as session:
        stored = session.get_one(Job, job_id)
        assert rounds.job_status(session, job_id).n_rounds == 0
    assert stored.state == "failed"
    assert "row 1, column 0: 'x' above nothing but numbers looks like a column's name" in stored.reason


def test_a_comparison_under_the_default_schedule_waits_for_the_estimate(database: Database, root: Path) -> None:
    job = {key: JOB[key] for key in ("data", "train")}
    entries = [{"method": "coteaching"}, {"method": "standard"}]
    job_id = dispatched(database, {**job, "kind": "compare", "compare": {"entries": entries, "n_seeds": 2}}, root)
    with database.read() as session:
        spec, history = rounds.load_spec(session, job_id), rounds.load_history(session, job_id)
    trained: JobSpec = spec
    assert trained.data.estimate is not None
    last = history[0].round.trials[0].keep_rate[-1]
    assert last == pytest.approx(1 - trained.data.estimate.noise_rate * 2 / 10)


def test_a_choice_goes_on_where_the_noise_cannot_be_estimated(database: Database, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "flat.npz", X=rng.normal(size=(160, 3)).astype("f4"), y=rng.integers(0, 2, 160))
    job = {
        "kind": "auto",
        "data": {"name": "arrays", "params": {"path": "flat.npz"}, "n_validation": 30},
        "train": {"network": "mlp_tabular", "network_params": {"hidden": [8]}, "n_epochs": 2, "batch_size": 32},
        "compare": {"n_seeds": 2, "entries": [{"method": "standard"}, {"method": "forward"}, {"method": "coteaching"}]},
    }
    job_id = dispatched(database, job, tmp_path)
    with database.read() as session:
        assert "cannot be estimated" in session.get_one(Job, job_id).spec["data"]["unestimated"]
        report = read(CompareReport, session.get_one(JobReport, job_id).report)
    alone = run(parse_job(job), data_root=tmp_path, progress=False)[1]
    assert replace(report, rows=()) == replace(alone, rows=())
    assert [row.last_ten for row in report.rows] == [row.last_ten for row in alone.rows]
