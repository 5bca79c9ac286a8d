"""Invariant: a stored job is never judged again. What earlier releases stored stays listable, cancellable, replayable,
and what this release cannot make sense of harms nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import pytest
from alembic import command
from sqlalchemy import Engine, MetaData, func, insert, select, text, update

from s2e.door import parse_job, read_job, stored
from s2e.jobs import loop
from s2e.words import SPEC_VERSION, JobSpec, SpecError, TrialSpec, UnreadableError, to_json
from service.dispatch.orchestrator import Orchestrator
from service.settings import Settings
from service.store import leases, repository
from service.store.engine import Database, alembic_config, at_head, make_engine, migrate
from service.store.models import Base, Job, JobReport
from workers.simulated import SimulatedBackend, SimulatedTrial

RELEASED = Path(__file__).parents[1] / "released"
SPECS: dict[str, Any] = json.loads((RELEASED / "specs-1.json").read_text())
Strange = Callable[[dict[str, Any]], dict[str, Any]]


def with_field(path: str, value: Any) -> Strange:
    """A spec with one field changed."""

    def change(spec: dict[str, Any]) -> dict[str, Any]:
        *parents, last = path.split(".")
        changed = json.loads(json.dumps(spec))
        at = changed
        for name in parents:
            at = at[name]
        at[last] = value
        return changed  # type: ignore[no-any-return]

    return change


STRANGE = {
    "a searcher that is gone": with_field("search.searcher", "simulated_annealing"),
    "a space that is gone": with_field("search.space", "chebyshev"),
    "a method that is gone": with_field("train.method", "coteaching_minus"),
    "a data set that is gone": with_field("data.name", "imagenet_tiny"),
    "a noise kind that is gone": with_field("data.noise.kind", "gaussian"),
    "a value below today's range": with_field("train.batch_size", 0),
    "a value above today's range": with_field("search.n_trials", 5_000),
    "a field that is gone": with_field("train.dropout", 0.5),
    "a parameter that is gone": with_field("search.parameters", {"train.dropout": {"kind": "linear", "low": 0}}),
}
UNREADABLE = {
    "a section that is none": with_field("train", "all of it"),
    "a number that is none": with_field("train.n_epochs", "many"),
    "another shape altogether": lambda _: {"version": 2, "steps": []},
}


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECS)
def test_a_released_spec_is_read_as_it_was_and_asks_for_the_same_first_round(name: str) -> None:
    data, trial = SPECS[name]["spec"], SPECS[name]["last_trial_of_first_round"]
    spec = read_job(data, 1)
    assert contains(to_json(spec), data)
    assert (spec.plan.step, spec.plan.test_every) == ("torch", 1)  # version 1 knew nothing else
    round_ = loop.next_round(spec, [])
    assert round_ is not None
    again = round_.trials[-1]
    assert (loop.n_rounds(spec), loop.n_trials(spec)) == (trial["n_rounds"], trial["n_trials"])
    assert (round_.index, round_.kind, again.k) == (trial["round"], trial["kind"], trial["k"])
    assert [again.init_seed, again.order_seed, again.noise_seed] == trial["seeds"]
    assert again.keep_rate[: len(trial["keep_rate"])] == pytest.approx(trial["keep_rate"], abs=1e-9)
    assert contains(to_json(again.train), trial["train"])


def contains(value: Any, stored_value: Any) -> bool:
    """True if all that was stored is there unchanged; later releases may have added fields."""
    if isinstance(stored_value, Mapping):
        return all(name in value and contains(value[name], one) for name, one in stored_value.items())
    if isinstance(stored_value, list):
        return len(value) == len(stored_value) and all(map(contains, value, stored_value))
    return bool(value == stored_value)


@pytest.mark.parametrize("name", STRANGE)
def test_what_today_refuses_is_read_all_the_same(name: str) -> None:
    data = STRANGE[name](to_json(parse_job({})))
    read_job(data, 1)
    with pytest.raises(SpecError):
        parse_job(data)


def test_a_spec_passes_every_upgrader_between_its_version_and_the_newest() -> None:
    """Version 1 called epochs n_iterations, version 2 had them beside the training; version 3 is as today."""

    def second(spec: dict[str, Any]) -> dict[str, Any]:
        return {"n_epochs": spec["n_iterations"], "seed": spec["seed"]}

    def third(spec: dict[str, Any]) -> dict[str, Any]:
        return {"train": {"n_epochs": spec["n_epochs"]}, "seed": spec["seed"]}

    upgraders, old = {1: second, 2: third}, {"n_iterations": 7, "seed": 3}
    expected = {"train": {"n_epochs": 7}, "seed": 3}
    assert stored.upgraded(old, 1, upgraders, newest=3) == expected
    assert stored.upgraded({"n_epochs": 7, "seed": 3}, 2, upgraders, newest=3) == expected
    assert stored.upgraded(expected, 3, upgraders, newest=3) == expected
    assert old == {"n_iterations": 7, "seed": 3}
    with pytest.raises(UnreadableError, match="spec_version = 4"):
        stored.upgraded(expected, 4, upgraders, newest=3)


def test_a_table_stored_before_labels_were_compared_without_case_is_read_as_it_was() -> None:
    job = to_json(parse_job({"data": {"name": "table", "params": {"path": "mine.csv"}}}))
    assert read_job(job, SPEC_VERSION).data.params["label_case"] == "refuse"
    del job["data"]["params"]["label_case"]
    assert read_job(job, SPEC_VERSION).data.params["label_case"] == "keep"


def test_numbers_of_rows_are_features_of_a_table_that_was_stored_when_they_were() -> None:
    job = to_json(parse_job({"data": {"name": "table", "params": {"path": "mine.csv"}}}))
    assert read_job(job, SPEC_VERSION).data.params["row_numbers"] == "leave_out"
    del job["data"]["params"]["row_numbers"]
    assert read_job(job, SPEC_VERSION).data.params["row_numbers"] == "keep"
    pictures = to_json(parse_job({"data": {"name": "images", "params": {"path": "mine"}}}))
    assert "row_numbers" not in read_job(pictures, SPEC_VERSION).data.params


def test_a_method_of_version_1_trains_as_its_release_did() -> None:
    """Decoupling had no floor and SIGUA_SL no fewest sample; what the spec says itself stays."""
    entries = [{"method": "decoupling", "params": {}}, {"method": "standard", "params": {}}]
    data = SPECS["method decoupling"]["spec"] | {"compare": {"entries": entries, "n_seeds": 2}}
    first = read_job(data, 1)
    assert (first.train.params["floor"], read_job(data, 2).train.params.get("floor")) == (0.0, None)
    assert first.compare is not None
    assert [entry.params for entry in first.compare.entries] == [{"floor": 0.0}, {}]
    assert read_job(SPECS["method sigua_sl"]["spec"], 1).train.params["fewest_bad"] == 0
    asked = data | {"train": {**data["train"], "params": {"floor": 0.2}}}
    assert read_job(asked, 1).train.params["floor"] == 0.2


def test_every_version_has_an_upgrader_to_the_next() -> None:
    assert set(stored.UPGRADERS) == set(range(1, SPEC_VERSION))
    assert {path.name for path in RELEASED.glob("specs-*.json")} >= {f"specs-{v}.json" for v in range(1, SPEC_VERSION)}


# --- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def store_strange(store_job: Any, database: Database) -> Callable[..., str]:
    """Writes a running job with a finished trial, then changes its spec as another release may have written it."""

    def store(change: Strange, version: int = SPEC_VERSION) -> str:
        job_id: str = store_job(succeeded=1)
        with database.write() as session:
            job = session.get_one(Job, job_id)
            job.spec, job.spec_version = change(job.spec), version
        return job_id

    return store


def walk(http: httpx.Client, job_id: str) -> None:
    """Every GET below a job and its trials answers, and the job can be cancelled."""
    document = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
    trials = http.get(f"/jobs/{job_id}/trials").json()["items"]
    for path, verbs in document["paths"].items():
        address = path.removeprefix("/api/v1").replace("{job_id}", job_id).replace("{trial_id}", trials[0]["id"])
        if "get" not in verbs or "{" in address or address == path or path.endswith("/events"):
            continue  # the stream of a running job has no end
        answer = http.get(address)
        no_file = path.endswith(("/report", "/model", "/labels"))  # not ended, nothing really trained, labels known
        assert answer.status_code == (404 if no_file else 200), (address, answer.text)
    assert http.post(f"/jobs/{job_id}/pause").status_code == 200
    assert http.post(f"/jobs/{job_id}/resume").status_code == 200
    assert http.post(f"/jobs/{job_id}/cancel").json()["state"] == "cancelling"


@pytest.mark.parametrize("name", STRANGE)
def test_a_spec_that_today_would_refuse_is_shown_and_cancelled(
    http: httpx.Client, store_strange: Any, store_job: Any, name: str
) -> None:
    neighbour, job_id = store_job(), store_strange(STRANGE[name])
    shown = {job["id"]: job for job in http.get("/jobs").json()["items"]}
    assert set(shown) == {neighbour, job_id}
    assert shown[job_id]["unreadable"] == ""
    assert shown[job_id]["spec"] == STRANGE[name](shown[neighbour]["spec"])
    walk(http, job_id)


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_spec_that_cannot_be_read_is_shown_as_such_and_cancelled(
    http: httpx.Client, store_strange: Any, store_job: Any, name: str
) -> None:
    neighbour, job_id = store_job(), store_strange(UNREADABLE[name])
    shown = {job["id"]: job for job in http.get("/jobs").json()["items"]}
    assert set(shown) == {neighbour, job_id}
    assert "cannot be read" in shown[job_id]["unreadable"]
    assert shown[job_id]["spec"] == UNREADABLE[name](shown[neighbour]["spec"])
    assert shown[job_id]["progress"]["trials_total"] == shown[neighbour]["progress"]["trials_total"]
    walk(http, job_id)


def test_a_spec_of_a_later_version_is_shown_as_such_and_cancelled(http: httpx.Client, store_strange: Any) -> None:
    job_id = store_strange(lambda spec: spec, SPEC_VERSION + 1)
    shown = http.get(f"/jobs/{job_id}").json()
    assert shown["spec_version"] == SPEC_VERSION + 1
    assert f"spec_version = {SPEC_VERSION + 1} cannot be read" in shown["unreadable"]
    walk(http, job_id)


def test_a_kind_of_another_release_is_none_of_the_kinds_that_are_known(http: httpx.Client, store_strange: Any) -> None:
    job_id = store_strange(with_field("kind", "tournament"))
    shown = http.get(f"/jobs/{job_id}").json()
    assert (shown["report_kind"], shown["trains"]) == ("", "")
    assert shown["recommends"] is True  # it may: what its report recommends is served
    walk(http, job_id)


def test_a_report_of_another_shape_is_a_named_refusal(
    http: httpx.Client, store_job: Any, database: Database, assert_problem: Any
) -> None:
    job_id = store_job()
    with database.write() as session:
        at = session.get_one(Job, job_id).created_at
        session.add(JobReport(job_id=job_id, report={"kind": "search", "rows": [], "recommended": None}, created_at=at))
    assert_problem(http.get(f"/jobs/{job_id}/report"), 409, "unreadable")
    assert http.get("/jobs").status_code == 200


# --- dispatchers ------------------------------------------------------------------------------------------------------


def later(database: Database, state: str) -> str:
    """A job whose spec is of a later version, in ``state``."""
    with database.write() as session:
        job_id, _ = repository.create_job(session, parse_job({}))
        session.execute(update(Job).values(spec_version=SPEC_VERSION + 1, spec={"steps": []}, state=state))
    return job_id


@pytest.mark.parametrize(("state", "claimed"), [("queued", False), ("running", False), ("cancelling", True)])
def test_a_job_of_a_later_release_is_left_to_its_dispatcher_but_for_the_cancelling(
    each_database: Database, state: str, claimed: bool
) -> None:
    job_id = later(each_database, state)
    with each_database.read() as session:
        assert leases.claimable_jobs(session, 9) == ([job_id] if claimed else [])


def test_a_job_of_a_later_release_is_cancelled(each_database: Database) -> None:
    job_id = later(each_database, "cancelling")
    orchestrator = Orchestrator(each_database, SimulatedBackend(lambda _: pytest.fail("nothing trains")), "me")
    with each_database.write() as session:
        assert leases.acquire_lease(session, job_id, "me", 60)
    orchestrator.take_over(job_id)
    assert orchestrator.advance(job_id)
    with each_database.read() as session:
        assert session.get_one(Job, job_id).state == "cancelled"


# --- a whole database of an earlier release ---------------------------------------------------------------------------


@pytest.fixture
def released_rows(database_url: str) -> Iterator[Engine]:
    """A database of release 0.1.0 with its rows, brought up to date."""
    command.downgrade(alembic_config(database_url), "0003")
    engine = make_engine(database_url)
    rows = json.loads((RELEASED / "rows-0003.json").read_text())
    old = MetaData()
    old.reflect(engine)
    with engine.begin() as connection:
        for table, of_table in rows.items():
            for row in of_table:
                connection.execute(insert(old.tables[table]), [typed(old, table, row)])
            if engine.dialect.name == "postgresql" and any(isinstance(row.get("id"), int) for row in of_table):
                last = max(row["id"] for row in of_table)
                connection.execute(text("SELECT setval(pg_get_serial_sequence(:t, 'id'), :n)"), {"t": table, "n": last})
    migrate(database_url)
    yield engine
    engine.dispose()


def typed(tables: MetaData, table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of JSON with its times as such."""

    def value(column: Any, text: Any) -> Any:
        is_time = "DATE" in str(column.type) or "TIME" in str(column.type)
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if is_time and text is not None else text

    columns = tables.tables[table].columns
    return {name: value(columns[name], text) for name, text in row.items()}


def test_the_rows_of_a_released_database_survive_the_migration_and_its_way_back(
    database_url: str, released_rows: Engine
) -> None:
    rows = json.loads((RELEASED / "rows-0003.json").read_text())

    def counts() -> dict[str, int]:
        with released_rows.connect() as connection:
            return {
                name: connection.scalar(select(func.count()).select_from(table)) or 0
                for name, table in Base.metadata.tables.items()
            }

    then = {name: len(rows.get(name, ())) for name in Base.metadata.tables}  # nothing is in a table made since
    assert at_head(released_rows)
    assert counts() == then
    command.downgrade(alembic_config(database_url), "0003")
    migrate(database_url)
    assert counts() == then


def test_the_jobs_of_a_released_database_are_answered_and_go_on(
    database_url: str, released_rows: Engine, start_server: Any, run_simulated: Any, tmp_path: Path
) -> None:
    with start_server(Settings(home=tmp_path, database_url=database_url, port=0)) as running:
        http: httpx.Client = running.http
        jobs = {job["name"]: job for job in http.get("/jobs").json()["items"]}
        assert len(jobs) == 6
        assert all(job["unreadable"] == "" for job in jobs.values())
        for job in jobs.values():
            for part in ("", "/rounds", "/trials", "/schedules", "/curves"):
                assert http.get(f"/jobs/{job['id']}{part}").status_code == 200
        done, compared = jobs["search, completed"], jobs["comparison, completed"]
        assert (done["recommends"], done["report_kind"]) == (True, "search")
        assert done["trains"] == done["spec"]["train"]["method"]
        assert (compared["recommends"], compared["report_kind"]) == (False, "compare")
        assert compared["trains"] == f"{len(compared['spec']['compare']['entries'])} entries compared"
        assert len(http.get(f"/jobs/{done['id']}/report").json()["rows"]) == 4
        assert len(http.get(f"/jobs/{compared['id']}/report").json()["rows"]) == 2
        assert http.post(f"/jobs/{jobs['queued']['id']}/cancel").json()["state"] == "cancelled"
        half = jobs["search, in the middle"]
        assert half["progress"]["rounds_total"] == loop.n_rounds(read_job(half["spec"], 1))
        assert http.post(f"/jobs/{half['id']}/resume").json()["state"] == "running"
    assert finished_as_in_process(database_url, half["id"], read_job(half["spec"], 1), run_simulated)


def as_released(trial: TrialSpec) -> SimulatedTrial:
    """The formula under which the rows were made: one trial fails, the others end well."""
    reason = "loss became NaN at epoch 1" if (trial.round, trial.k) == (0, 1) else ""
    return SimulatedTrial.constant(0.4 + 0.4 * fmean(trial.keep_rate), len(trial.keep_rate), reason)


def finished_as_in_process(database_url: str, job_id: str, spec: JobSpec, run_simulated: Any) -> bool:
    """Take the job over in the middle, as its release left it: it ends with the report of the undisturbed job."""
    database = Database(database_url)
    backend = SimulatedBackend(as_released)
    orchestrator = Orchestrator(database, backend, "me")
    with database.write() as session:
        assert leases.acquire_lease(session, job_id, "me", 60)
    orchestrator.take_over(job_id)
    while not orchestrator.advance(job_id):
        orchestrator.record(job_id, backend.poll())
    with database.read() as session:
        report = session.get_one(JobReport, job_id).report
    database.close()
    alone = SimulatedBackend(as_released)
    _, undisturbed = loop.run_search(spec, lambda round_, groups: run_simulated(alone, round_, groups))
    return bool(report == to_json(undisturbed))
