"""Jobs, rounds, trials and their curves as the API gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.schedule import coteaching_keep_rate
from s2e.words import JobSpec, to_json
from service.store.engine import Database
from service.store.models import Attempt, Job, JobReport, Trial, WorkerRow

UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def test_a_submitted_job_is_queued_with_every_default_filled_in(http: httpx.Client) -> None:
    response = http.post("/jobs", json={"name": "mine", "search": {"n_rounds": 3}})
    assert response.status_code == 201
    job = response.json()
    assert response.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert job == http.get(f"/jobs/{job['id']}").json()
    assert (job["name"], job["state"], job["started_at"]) == ("mine", "queued", None)
    assert job["spec"] == to_json(parse_job({"name": "mine", "search": {"n_rounds": 3}}))
    assert UTC_TIME.fullmatch(job["created_at"])
    # 3 rounds of 6, as many for eq. (1), 3 candidates of both on 2 seeds, 4 schedules on 5 and 10 seeds, 3 on 20 and 40
    assert job["progress"] == {
        "trials_done": 0,
        "trials_total": 3 * 6 + 3 * 6 + 2 * 3 * 2 + 4 * 10 + 3 * 30,
        "rounds_done": 0,
        "rounds_total": 3 + 3 + 1 + 4,
        "epochs_done": 0,
        "epochs_total": 178 * 40,
        "eta_s": None,
    }


def test_the_same_idempotency_key_makes_one_job(http: httpx.Client, assert_problem: Any, count: Any) -> None:
    headers = {"Idempotency-Key": "abc"}
    first = http.post("/jobs", json={"seed": 7, "name": "a"}, headers=headers)
    again = http.post("/jobs", json={"name": "a", "seed": 7}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert_problem(http.post("/jobs", json={"seed": 8}, headers=headers), 409, "conflict")
    assert count()["jobs"] == 1
    assert http.post("/jobs", json={"seed": 8}).status_code == 201


@pytest.fixture
def count(database: Database, count_rows: Any) -> Callable[[], dict[str, int]]:
    return lambda: count_rows(database)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_of_jobs_are_complete_and_stable(http: httpx.Client, limit: int) -> None:
    made = [http.post("/jobs", json={"seed": seed}).json()["id"] for seed in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        page = http.get("/jobs", params={"limit": limit, **({"cursor": cursor} if cursor else {})}).json()
        seen += [job["id"] for job in page["items"]]
        assert len(page["items"]) <= limit
        http.post("/jobs", json={"name": "newer, so on no later page"})
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == made[::-1]


def test_jobs_are_listed_by_state(http: httpx.Client) -> None:
    first, second = (http.post("/jobs", json={"seed": seed}).json()["id"] for seed in (1, 2))
    http.post(f"/jobs/{first}/cancel")
    for state, expected in (("cancelled", [first]), ("queued", [second]), ("failed", [])):
        assert [job["id"] for job in http.get("/jobs", params={"state": state}).json()["items"]] == expected


def test_a_job_is_paused_resumed_and_cancelled(http: httpx.Client, assert_problem: Any) -> None:
    job = http.post("/jobs", json={}).json()["id"]
    states = [http.post(f"/jobs/{job}/{verb}").json()["state"] for verb in ("pause", "resume", "pause", "cancel")]
    assert states == ["paused", "queued", "paused", "cancelled"]
    ended = http.get(f"/jobs/{job}").json()
    assert ended["finished_at"] >= ended["created_at"]
    for verb in ("pause", "resume", "cancel"):
        problem = assert_problem(http.post(f"/jobs/{job}/{verb}"), 409, "illegal_transition")
        assert "cancelled" in problem["detail"]


def test_a_running_job_is_cancelled_by_the_dispatcher(http: httpx.Client, store_job: Any) -> None:
    assert http.post(f"/jobs/{store_job()}/cancel").json()["state"] == "cancelling"


def test_progress_counts_what_has_run(http: httpx.Client, store_job: Any) -> None:
    """One of three trials ended (12 epochs), two are at epoch 4; 2 x 3 + 2 taus + 4 x 2 trials of 12 epochs in all."""
    progress = http.get(f"/jobs/{store_job(succeeded=1)}").json()["progress"]
    assert progress["epochs_done"] == 12 + 4 + 4
    assert progress["epochs_total"] == 16 * 12
    assert progress["trials_done"] == 1
    assert progress["rounds_done"] == 0
    assert progress["eta_s"] > 0


def test_a_round_is_done_with_its_last_trial(http: httpx.Client, store_job: Any) -> None:
    assert http.get(f"/jobs/{store_job(succeeded=3)}").json()["progress"]["rounds_done"] == 1


def test_a_round_has_theta_and_the_fan_of_schedules_under_it(http: httpx.Client, store_job: Any) -> None:
    job = store_job()
    page = http.get(f"/jobs/{job}/rounds").json()
    [round_] = page["items"]
    assert page["next_cursor"] is None
    assert (round_["round"], round_["kind"], round_["n_trials"]) == (0, "search", 3)
    assert round_["theta"] == [1.0] * 36
    fan = round_["fan"]
    assert fan["epochs"] == list(range(12))
    levels = [fan[name] for name in ("q05", "q25", "q50", "q75", "q95")]
    for t in range(12):
        at_t = [level[t] for level in levels]
        assert at_t == sorted(at_t)
        assert all(0 <= value <= 1 for value in at_t)
    assert [level[0] for level in levels] == [1.0] * 5


def test_searched_training_settings_are_shown_with_trial_and_schedule(http: httpx.Client, store_job: Any) -> None:
    parameters = {"train.learning_rate": {"kind": "log", "low": 1e-4, "high": 1e-2}}
    job = store_job(succeeded=3, search={"n_rounds": 1, "n_trials": 3, "parameters": parameters})
    [round_] = http.get(f"/jobs/{job}/rounds").json()["items"]
    assert round_["theta"] == [1.0] * 38
    assert len(round_["fan"]["q50"]) == 12
    trials = http.get(f"/jobs/{job}/trials").json()["items"]
    settings = [trial["train"] for trial in trials]
    assert all(1e-4 <= one["learning_rate"] <= 1e-2 for one in settings)
    schedule = http.get(f"/jobs/{job}/schedule").json()
    assert schedule["train"] == settings[schedule["recommended"]["k"]]
    assert http.get(f"/trials/{trials[0]['id']}").json()["train"] == settings[0]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_pages_of_trials_are_complete_and_without_curves(http: httpx.Client, store_job: Any, limit: int) -> None:
    job = store_job(succeeded=1, search={"n_rounds": 1, "n_trials": 5})
    seen, cursor = [], None
    while True:
        params = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        page = http.get(f"/jobs/{job}/trials", params=params).json()
        seen += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert [trial["k"] for trial in seen] == [0, 1, 2, 3, 4]
    assert [trial["state"] for trial in seen] == ["succeeded"] + ["running"] * 4
    assert not {"keep_rate", "epochs", "point"} & set(seen[0])


def test_trials_of_a_round_or_a_label(http: httpx.Client, store_job: Any) -> None:
    job = store_job()
    for params, n in (({"round": 0}, 3), ({"round": 1}, 0), ({"label": "search"}, 3), ({"label": "tuned"}, 0)):
        assert len(http.get(f"/jobs/{job}/trials", params=params).json()["items"]) == n


def test_a_trial_has_its_point_schedule_seeds_and_attempts(http: httpx.Client, store_job: Any) -> None:
    job = store_job(succeeded=1)
    listed = http.get(f"/jobs/{job}/trials").json()["items"][0]
    trial = http.get(f"/trials/{listed['id']}").json()
    assert {name: trial[name] for name in listed} == listed
    spec = parse_job(http.get(f"/jobs/{job}").json()["spec"])
    expected = first_round(spec)
    assert trial["point"] == list(expected.point.values)
    assert trial["keep_rate"] == list(expected.keep_rate)
    assert trial["keep_rate"][0] == 1.0
    seeds = {name: getattr(expected, name) for name in ("init_seed", "order_seed", "noise_seed")}
    assert {name: trial[name] for name in seeds} == seeds
    [attempt] = trial["attempts"]
    assert (attempt["attempt"], attempt["worker"], attempt["n_stale"]) == (1, "here:1", 0)


def first_round(spec: JobSpec) -> Any:
    round_ = loop.next_round(spec, [])
    assert round_ is not None
    return round_.trials[0]


@pytest.mark.parametrize(
    ("max_points", "epochs"),
    [(200, list(range(12))), (12, list(range(12))), (2, [0, 11]), (4, [0, 4, 7, 11])],
)
def test_curves_are_thinned_between_first_and_last(
    http: httpx.Client, store_job: Any, max_points: int, epochs: list[int]
) -> None:
    trial = http.get(f"/jobs/{store_job(succeeded=1)}/trials").json()["items"][0]["id"]
    curves = http.get(f"/trials/{trial}/epochs", params={"max_points": max_points}).json()
    assert (curves["attempt"], curves["total"], curves["epochs"]) == (1, 12, epochs)
    assert curves["series"]["loss"] == [1 / (t + 1) for t in epochs]
    assert curves["series"]["validation_accuracy"] == [t / 100 for t in epochs]
    assert curves["series"]["test_accuracy"] == [None] * len(epochs)
    assert curves["series"]["wrong_memorised"] == [t / 50 for t in epochs]
    one, two = curves["networks"]
    assert one["train_accuracy"] == [t / 10 if t else None for t in epochs]
    assert two == {
        "train_accuracy": [0.5 if t else None for t in epochs],
        "validation_accuracy": [t / 100 if t else None for t in epochs],
        "test_accuracy": [None] * len(epochs),
    }


def test_curves_of_an_attempt_that_is_not_there_are_empty(http: httpx.Client, store_job: Any) -> None:
    trial = http.get(f"/jobs/{store_job()}/trials").json()["items"][0]["id"]
    curves = http.get(f"/trials/{trial}/epochs", params={"attempt": 9}).json()
    assert (curves["total"], curves["epochs"], curves["series"]["loss"]) == (0, [], [])


def test_curves_of_an_older_attempt_stay_apart(http: httpx.Client, store_job: Any, database: Database) -> None:
    job = store_job()
    trial = http.get(f"/jobs/{job}/trials").json()["items"][0]["id"]
    with database.write() as session:
        session.get_one(Trial, trial).attempt = 2
        session.add(
            Attempt(
                trial_id=trial, job_id=job, round=0, k=0, attempt=2, created_at=session.get_one(Job, job).created_at
            )
        )
    assert http.get(f"/trials/{trial}/epochs").json()["total"] == 0
    assert http.get(f"/trials/{trial}/epochs", params={"attempt": 1}).json()["total"] == 4
    assert [a["attempt"] for a in http.get(f"/trials/{trial}").json()["attempts"]] == [1, 2]


def test_schedules_of_all_trials_share_their_epochs(http: httpx.Client, store_job: Any) -> None:
    job = store_job(succeeded=2)
    schedules = http.get(f"/jobs/{job}/schedules", params={"max_points": 4}).json()
    assert schedules["epochs"] == [0, 4, 7, 11]
    assert len(schedules["items"]) == 3
    for item in schedules["items"]:
        full = http.get(f"/trials/{item['id']}").json()["keep_rate"]
        assert item["keep_rate"] == [full[t] for t in schedules["epochs"]]
    assert schedules["recommended"]["round"] == 0
    assert schedules["recommended"]["k"] in (0, 1)


def test_the_default_schedule_stands_in_until_a_trial_succeeded(http: httpx.Client, store_job: Any) -> None:
    schedule = http.get(f"/jobs/{store_job()}/schedule").json()
    assert (schedule["recommended"], schedule["provisional"], schedule["label"]) == (None, True, "default")
    assert schedule["keep_rate"] == list(coteaching_keep_rate(12, 0.5, 10))


def test_the_recommended_schedule_is_provisional_until_the_report(
    http: httpx.Client, store_job: Any, database: Database, assert_problem: Any
) -> None:
    job = store_job(succeeded=3)
    schedule = http.get(f"/jobs/{job}/schedule").json()
    assert (schedule["provisional"], schedule["label"]) == (True, "searched")
    k = schedule["recommended"]["k"]
    trial = next(t for t in http.get(f"/jobs/{job}/trials").json()["items"] if t["k"] == k)
    assert schedule["keep_rate"] == http.get(f"/trials/{trial['id']}").json()["keep_rate"]
    assert "no report yet" in assert_problem(http.get(f"/jobs/{job}/report"), 404, "not_found")["detail"]

    report = {**REPORT, "recommended": [0, 1], "keep_rate": [1.0, 0.25]}
    with database.write() as session:
        created_at = session.get_one(Job, job).created_at
        session.add(JobReport(job_id=job, report=report, created_at=created_at))
    schedule = http.get(f"/jobs/{job}/schedule").json()
    assert schedule == {
        "recommended": {"round": 0, "k": 1},
        "provisional": False,
        "label": "searched",
        "keep_rate": [1.0, 0.25],
        "train": {},
    }
    shown = http.get(f"/jobs/{job}/report").json()
    assert UTC_TIME.fullmatch(shown.pop("created_at"))
    # what the code of that time did not store is answered with its default
    pairs = zip(shown.pop("rows"), report.pop("rows"), strict=True)
    assert all(row.items() >= stored.items() for row, stored in pairs)
    assert shown.items() >= report.items()


REPORT: dict[str, Any] = {
    "recommended": [0, 1],
    "best_run": [0, 0],
    "best_run_validation_accuracy": 0.9,
    "best_run_model": "j/round-0/trial-0-attempt-1.safetensors",
    "recommended_model": None,
    "keep_rate": [1.0],
    "rows": [
        {
            "label": "searched",
            "title": "searched schedule",
            "keep_rate": [1.0],
            "test_accuracy": [0.8, 0.9],
            "mean": 0.85,
            "half_width": 0.1,
            "label_precision": 0.7,
            "difference": None,
            "difference_half_width": None,
            "n_failed": 0,
            "train": {},
        }
    ],
    "verdict": "These seeds do not separate it.",
    "train": {},
    "basis": "The search spent 6 full trainings.",
}


@pytest.mark.parametrize("kind", ["methods", "networks", "datasets", "searchers", "spaces", "protocols"])
def test_names_are_listed_with_a_sentence(http: httpx.Client, kind: str) -> None:
    items = http.get(f"/{kind}").json()["items"]
    assert items
    assert all({"name", "summary"} <= set(item) and item["summary"] for item in items)


def test_methods_publish_their_hyperparameters(http: httpx.Client) -> None:
    methods = {item["name"]: item for item in http.get("/methods").json()["items"]}
    q = methods["gce"]["params"]["properties"]["q"]
    assert (q["type"], q["default"], q["exclusiveMinimum"], q["maximum"]) == ("number", 0.7, 0, 1)
    assert "exponent" in q["description"]
    assert methods["sigua"]["params"]["properties"]["good"]["enum"] == ["small_loss", "oracle"]
    assert methods["coteaching_plus"]["per_dataset"]["mnist"] == {"warm_up_epochs": 0}
    assert methods["standard"]["params"]["properties"] == {}
    assert (methods["coteaching"]["scheduled"], methods["gce"]["scheduled"]) == (True, False)
    assert (methods["reweight"]["needs"], methods["gce"]["needs"]) == (["clean"], [])


def test_protocols_publish_what_they_stand_for_and_a_stored_job_holds_it(http: httpx.Client) -> None:
    [elr] = [item for item in http.get("/protocols").json()["items"] if item["name"] == "elr"]
    assert elr["datasets"]["cifar10"]["train"]["lr_milestones"] == [40, 80]
    asked = {"protocol": "elr", "data": {"name": "cifar10"}, "train": {"batch_size": 64}}
    stored = http.post("/jobs", json=asked).json()["spec"]
    assert (stored["protocol"], stored["train"]["batch_size"]) == ("elr", 64)
    assert (stored["train"]["network"], stored["data"]["normalise"]) == ("resnet34", "channels")


def test_workers_are_listed(http: httpx.Client, database: Database, store_job: Any) -> None:
    assert http.get("/workers").json() == {"items": []}
    job = store_job()
    with database.write() as session:
        seen_at = session.get_one(Job, job).created_at
        session.add(WorkerRow(name="node", cpus=2.0, gpus=0.0, busy=1, seen_at=seen_at))
    [worker] = http.get("/workers").json()["items"]
    assert (worker["name"], worker["cpus"], worker["busy"]) == ("node", 2.0, 1)


def test_answers_repeat_floats_exactly(http: httpx.Client) -> None:
    value = 0.1 + 0.2
    job = http.post("/jobs", content=json.dumps({"train": {"learning_rate": value}}), headers=JSON).json()
    assert http.get(f"/jobs/{job['id']}").json()["spec"]["train"]["learning_rate"] == value


JSON = {"Content-Type": "application/json"}
