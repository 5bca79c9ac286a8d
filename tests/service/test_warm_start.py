"""A warm start: the trials of an earlier job are looked up once, at submission."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from service.store.engine import Database
from service.store.models import Trial

WARM = {"searcher": "model_newton"}


def test_the_trials_of_an_earlier_job_are_stored_with_the_new_one(
    http: httpx.Client, store_job: Callable[..., str], database: Database
) -> None:
    earlier_id = store_job(succeeded=2, search={**WARM, "n_rounds": 1, "n_trials": 3})
    response = http.post("/jobs", json={"search": {**WARM, "warm_start": [earlier_id]}})
    assert response.status_code == 201, response.text
    (earlier,) = response.json()["spec"]["search"]["earlier"]
    with database.read() as session:
        rows = session.scalars(select(Trial).where(Trial.job_id == earlier_id).order_by(Trial.k)).all()
        trials = [(row.spec["point"]["values"], row.objective) for row in rows if row.state == "succeeded"]
    assert (earlier["job"], earlier["space"]) == (earlier_id, "s2e")
    assert list(zip(earlier["points"], earlier["objectives"], strict=True)) == trials
    assert len(trials) == 2


def test_the_same_request_is_the_same_job_whatever_became_of_the_earlier_one(
    http: httpx.Client, store_job: Callable[..., str], database: Database
) -> None:
    earlier_id = store_job(succeeded=2, search={**WARM, "n_rounds": 1, "n_trials": 3})
    asked = {"json": {"search": {**WARM, "warm_start": [earlier_id]}}, "headers": {"Idempotency-Key": "again"}}
    first = http.post("/jobs", **asked)
    with database.write() as session:
        for row in session.scalars(select(Trial).where(Trial.job_id == earlier_id, Trial.objective.is_not(None))):
            row.objective = 0.01
    again = http.post("/jobs", **asked)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]


@pytest.mark.parametrize(
    ("succeeded", "search", "allowed"),
    [
        (2, {**WARM, "space": "coteaching"}, "jobs that searched coteaching"),
        (0, WARM, "at least one succeeded full training"),
        (2, {"searcher": "random"}, "rules that start warm: cubic_newton, model_newton"),
    ],
)
def test_an_unrelated_or_empty_job_is_refused(
    http: httpx.Client,
    store_job: Callable[..., str],
    assert_problem: Any,
    succeeded: int,
    search: dict[str, Any],
    allowed: str,
) -> None:
    earlier_id = store_job(succeeded=succeeded, search={**WARM, "n_rounds": 1, "n_trials": 3})
    body = assert_problem(
        http.post("/jobs", json={"search": {**search, "warm_start": [earlier_id]}}), 422, "invalid_spec"
    )
    assert allowed in str(body)


def test_an_unknown_job_is_refused_and_leaves_nothing(
    http: httpx.Client, assert_problem: Any, database: Database, count_rows: Callable[[Database], dict[str, int]]
) -> None:
    body = assert_problem(http.post("/jobs", json={"search": {**WARM, "warm_start": ["nosuch"]}}), 422, "invalid_spec")
    assert "ids of jobs that exist" in str(body)
    assert count_rows(database)["jobs"] == 0
