"""Comparison jobs over HTTP: submitted, refused, resolved, reported, and drawn as curves."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from s2e.client.errors import WrongKind
from s2e.client.http import S2EClient
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.words import EpochMetrics, to_json
from service.api import curves
from service.store import leases, populations, queries, repository, rounds
from service.store.engine import Database
from service.store.models import Job, JobReport, Trial
from workers.backend import EpochReported, PopulationStarted

SEARCH = {
    "train": {"n_epochs": 6},
    "search": {"n_rounds": 1, "n_trials": 3},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.2]},
}
COMPARE = {
    "kind": "compare",
    "train": {"n_epochs": 6},
    "compare": {"n_seeds": 2, "entries": [{"method": "standard"}, {"label": "ours", "method": "coteaching"}]},
}


def of_job(job_id: str, **more: Any) -> dict[str, Any]:
    """A comparison of Standard with Co-teaching under the schedule of a job."""
    searched = {"label": "found", "method": "coteaching", "schedule": {"kind": "job", "job": job_id, **more}}
    return COMPARE | {"compare": {"n_seeds": 2, "entries": [{"method": "standard"}, searched]}}


@pytest.fixture
def client(service: Any) -> Any:
    with S2EClient(service.url) as connected:
        yield connected


def test_a_comparison_from_submission_to_report(client: S2EClient, dispatching: None) -> None:
    job = client.wait(client.submit(COMPARE).id)
    assert job.state == "completed"
    assert (job.progress.trials_done, job.progress.rounds_total) == (4, 1)
    assert [round_.kind for round_ in client.rounds(job.id)] == ["compare"]
    assert [trial.label for trial in client.trials(job.id, label="ours")] == ["ours", "ours"]

    report = client.comparison(job.id)
    assert (report.kind, report.baseline, report.n_seeds) == ("compare", "standard", 2)
    base, ours = report.rows
    assert (base.uses_schedule, ours.uses_schedule) == (False, True)
    assert base.last_ten.mean == pytest.approx(0.9)  # the formula's 0.5 + 0.4 R(T-1), and Standard keeps everything
    # R(5) = 1 - .5 x 5/10; trial 1 of round 0, which is ours on the first seed, fails by the formula.
    assert ours.last_ten.values == (None, pytest.approx(0.8))
    assert (ours.n_failed, ours.last_ten.difference) == (1, pytest.approx(-0.1))
    assert ours.ensemble_last_ten.mean is None
    assert "“ours” is not separated from “standard”" in report.verdict
    with pytest.raises(WrongKind, match="report"):
        client.report(job.id)


def test_the_curves_of_a_comparison_are_means_and_ranges(client: S2EClient, dispatching: None) -> None:
    job = client.wait(client.submit(COMPARE).id)
    curves = client.curves(job.id, "validation_accuracy", max_points=3)
    assert (curves.metric, curves.epochs) == ("validation_accuracy", (0, 2, 5))
    assert [(item.label, item.n_trials) for item in curves.items] == [("standard", 2), ("ours", 2)]
    assert curves.items[0].mean == curves.items[0].low == curves.items[0].high == (pytest.approx(0.9),) * 3
    assert client.curves(job.id, "wrong_memorised").items[0].mean == (None,) * 6


def test_curves_of_both_databases_average_the_current_attempts(each_database: Database) -> None:
    """Two seeds of .5 and .7 at epoch 0: mean .6, from .5 to .7; at epoch 1 one of them alone has .9."""
    spec = parse_job(COMPARE)
    with each_database.write() as session:
        job_id, _ = repository.create_job(session, spec)
        leases.acquire_lease(session, job_id, "me", 60)
        repository.start_job(session, job_id, "me")
        round_ = loop.next_round(spec, [])
        assert round_ is not None
        rounds.insert_round(session, job_id, "me", spec, round_)
        key, other = populations.lease_populations(session, job_id, "me", 0, [0, 1])
        rows = [EpochMetrics(k=k, epoch=t, keep_rate=1.0, validation_accuracy=value) for k, t, value in REPORTED]
        reported = [EpochReported(key, tuple(row for row in rows if row.epoch == t)) for t in (0, 1)]
        events = [PopulationStarted(key, "here"), *reported, PopulationStarted(other, "here")]
        populations.record_events(session, job_id, "me", events, 3)
    with each_database.read() as session:
        averaged = curves.curves_out(session, session.get_one(Job, job_id), "validation_accuracy", 6)
        assert queries.labels(session, job_id) == [("standard", 2), ("ours", 2)]
    [curve] = averaged.items
    assert (curve.label, curve.n_trials) == ("standard", 2)
    assert curve.mean[:3] == (pytest.approx(0.6), pytest.approx(0.9), None)
    assert (curve.low[0], curve.high[0]) == (0.5, 0.7)


REPORTED = ((0, 0, 0.5), (2, 0, 0.7), (0, 1, 0.9))
"""(k, epoch, validation accuracy): Standard is trials 0 and 2."""


def test_an_entry_takes_the_schedule_a_search_recommends(
    client: S2EClient, dispatching: None, database: Database
) -> None:
    search = client.wait(client.submit(SEARCH).id)
    recommended = client.report(search.id).keep_rate
    job = client.submit(of_job(search.id), idempotency_key="again")
    entry = job.spec["compare"]["entries"][1]
    expected = {"kind": "job", "tau": None, "factor": None, "keep_rate": list(recommended), "job": search.id}
    assert entry["schedule"] == expected
    assert client.submit(of_job(search.id), idempotency_key="again").id == job.id
    client.wait(job.id)
    assert client.comparison(job.id).rows[1].schedule == f"recommended by job {search.id}"
    with database.read() as session:
        asked = session.scalars(select(Trial).where(Trial.job_id == job.id, Trial.label == "found")).all()
    assert [trial.spec["keep_rate"] for trial in asked] == [list(recommended)] * 2
    with pytest.raises(WrongKind, match="comparison"):
        client.comparison(search.id)


def store_search(database: Database, **report: Any) -> str:
    """A finished search with this in its report."""
    with database.write() as session:
        job_id, _ = repository.create_job(session, parse_job(SEARCH))
        content = {"recommended": [0, 1], "keep_rate": [1.0] * 6, "train": {}} | report
        session.add(JobReport(job_id=job_id, report=content, created_at=session.get_one(Job, job_id).created_at))
    return job_id


def test_searched_settings_come_with_the_schedule(http: httpx.Client, database: Database) -> None:
    search_id = store_search(database, train={"learning_rate": 0.02, "batch_size": 64})
    body = of_job(search_id)
    body["compare"]["entries"][1]["train"] = {"batch_size": 32}
    entry = http.post("/jobs", json=body).json()["spec"]["compare"]["entries"][1]
    assert entry["train"] == {"learning_rate": 0.02, "batch_size": 32}


@pytest.mark.parametrize(
    ("report", "given", "field", "allowed"),
    [
        ({"recommended": None}, {}, "job", "a completed search that recommends a schedule"),
        ({"keep_rate": [1.0] * 9}, {}, "job", "a search of 6 epochs, as this job; this one has 9"),
        ({}, {"keep_rate": [1.0] * 6}, "keep_rate", "it is taken from the job"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(
    http: httpx.Client,
    database: Database,
    assert_problem: Any,
    report: dict[str, Any],
    given: dict[str, Any],
    field: str,
    allowed: str,
) -> None:
    answer = http.post("/jobs", json=of_job(store_search(database, **report), **given))
    [error] = assert_problem(answer, 422, "invalid_spec")["errors"]
    assert error["field"] == f"compare.entries[1].schedule.{field}"
    assert allowed in error["allowed"]


def test_a_job_without_a_report_lends_no_schedule(http: httpx.Client, assert_problem: Any, count_rows: Any) -> None:
    queued = http.post("/jobs", json=SEARCH).json()["id"]
    for job_id in (queued, "nosuch"):
        [error] = assert_problem(http.post("/jobs", json=of_job(job_id)), 422, "invalid_spec")["errors"]
        assert (error["value"], error["allowed"]) == (job_id, "a completed search that recommends a schedule")
    assert [job["id"] for job in http.get("/jobs").json()["items"]] == [queued]


def test_a_refused_comparison_names_its_entry(http: httpx.Client, assert_problem: Any) -> None:
    body = COMPARE | {"compare": {"entries": [{"method": "standard"}, {"method": "nosuch"}]}}
    [error] = assert_problem(http.post("/jobs", json=body), 422, "invalid_spec")["errors"]
    assert (error["field"], error["value"]) == ("compare.entries[1].method", "nosuch")


def test_a_comparison_recommends_no_schedule(http: httpx.Client, assert_problem: Any) -> None:
    job = http.post("/jobs", json=COMPARE).json()["id"]
    problem = assert_problem(http.get(f"/jobs/{job}/schedule"), 404, "not_found")
    assert "comparison" in problem["detail"]
    assert http.get(f"/jobs/{job}/schedules").json()["recommended"] is None
    assert http.get(f"/jobs/{job}/curves").json()["items"] == []
    assert_problem(http.get(f"/jobs/{job}/curves", params={"metric": "networks"}), 422, "invalid_parameter")
    assert_problem(http.get(f"/jobs/{job}/report"), 404, "not_found")


def test_the_stored_spec_is_the_complete_one(http: httpx.Client) -> None:
    assert http.post("/jobs", json=COMPARE).json()["spec"] == to_json(parse_job(COMPARE))
