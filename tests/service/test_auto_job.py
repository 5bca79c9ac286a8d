"""A job of kind auto through the service: it ends with the report of the same job in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from s2e.client.http import S2EClient
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.words import JobSpec, TrialSpec, derive_seed, read, to_json
from s2e.words.results import CompareReport
from service.store.engine import Database
from service.store.models import JobReport
from service.testing.driver import Driver
from workers.simulated import SimulatedBackend, SimulatedTrial

BODY = {"kind": "auto", "train": {"n_epochs": 3}, "compare": {"n_seeds": 2}}


def evaluate(trial: TrialSpec) -> SimulatedTrial:
    """Accuracy from the method's name and the seeds alone."""
    merit = derive_seed(0, trial.train["method"], trial.label) / 2**64
    luck = derive_seed(trial.init_seed, trial.order_seed) / 2**64
    return SimulatedTrial.constant(0.5 + 0.3 * merit + 0.05 * luck, len(trial.keep_rate))


@dataclass(frozen=True)
class Auto:
    spec: JobSpec
    evaluate: Callable[[TrialSpec], SimulatedTrial]


def test_the_service_chooses_what_one_process_chooses(
    database: Database, http: httpx.Client, run_simulated: Any
) -> None:
    spec = parse_job(BODY)
    _, alone = loop.run_search(
        spec, lambda round_, groups: run_simulated(SimulatedBackend(evaluate, n_workers=2), round_, groups)
    )
    driver = Driver(database, Auto(spec, evaluate))
    driver.run()
    assert driver.job().state == "completed"
    with database.read() as session:
        assert read(CompareReport, session.get_one(JobReport, driver.job_id).report) == alone
    assert [record.round.kind for record in driver.history()] == ["halve"] * 3 + ["compare"]
    shown = http.get(f"/jobs/{driver.job_id}").json()
    assert (shown["title"], shown["progress"]["rounds_done"]) == ("auto: 14 candidates", 4)
    rounds = http.get(f"/jobs/{driver.job_id}/rounds").json()["items"]
    assert [(of["kind"], of["n_trials"]) for of in rounds] == [
        ("halve", 14),
        ("halve", 7),
        ("halve", 2),
        ("compare", 20),
    ]
    with S2EClient(str(http.base_url).removesuffix("/api/v1/")) as client:
        report = client.comparison(driver.job_id)
    assert report.baseline == alone.baseline
    assert to_json(report)["verdict"].startswith(f"“{alone.baseline}” was chosen among 14 candidates")
