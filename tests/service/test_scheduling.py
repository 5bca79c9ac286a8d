"""Turns between owners, budgets that end a job with its report, pauses that keep what was trained."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.local import run
from s2e.words import JobSpec, Population, SpecError, TrialResult, replace
from service.dispatch.orchestrator import Orchestrator
from service.dispatch.turns import Claim, Turns
from service.store import leases, repository
from service.store.changes import utc_now
from service.store.engine import Database
from service.store.models import Attempt, Job, Trial
from service.testing.driver import Driver
from workers.backend import EpochReported, Event, PopulationFinished, PopulationKey, PopulationLost
from workers.inline import InlineBackend
from workers.simulated import SimulatedBackend, SimulatedTrial

OWNER = "test:1"


# --- turns ------------------------------------------------------------------------------------------------------------


def starts(turns: Turns, n_places: int, under_way: dict[str, int]) -> list[str]:
    """The jobs that get the places of one pass, where everybody waits for one."""
    given: list[str] = []
    for job_id in turns.take(lambda _: len(given) < n_places, under_way):
        given.append(job_id)
        turns.started(job_id)
    return given


def waiting(**claims: Claim) -> Turns:
    turns = Turns()
    for job_id, claim in claims.items():
        turns.claim(job_id, claim)
        turns.wait_for_place(job_id)
    return turns


def test_places_are_shared_between_owners_however_many_jobs_they_have() -> None:
    turns = waiting(a1=Claim("ada"), a2=Claim("ada"), a3=Claim("ada"), b1=Claim("bob"))
    assert starts(turns, 2, {}) == ["a1", "b1"]  # one each, in the same pass
    for job_id in ("a1", "b1"):
        turns.wait_for_place(job_id)
    assert starts(turns, 1, {"a1": 1, "b1": 1}) == ["a2"]  # ada's last start is the longest ago
    turns.wait_for_place("a2")
    assert starts(turns, 1, {"a1": 1, "a2": 1, "b1": 1}) == ["b1"]
    turns.wait_for_place("b1")
    assert starts(turns, 2, {"a2": 5, "b1": 1}) == ["b1", "a3"]


def test_a_priority_decides_among_the_jobs_of_one_owner_and_takes_nothing_from_others() -> None:
    turns = waiting(a1=Claim("ada"), a2=Claim("ada", 10), b1=Claim("bob", -50), b2=Claim("bob", -60))
    assert starts(turns, 3, {"a1": 0}) == ["a2", "b1", "a1"]
    turns = waiting(a1=Claim("ada"), a2=Claim("ada", 10))
    assert starts(turns, 1, {"a2": 3}) == ["a2"]


def test_the_priority_of_a_job_is_in_its_spec_and_can_be_changed(database: Database) -> None:
    with database.write() as session:
        job_id, _ = repository.create_job(session, parse_job({"priority": 7}), owner="ada")
        leases.acquire_lease(session, job_id, OWNER, 60)
    with database.read() as session:
        assert leases.led_states(session, OWNER)[job_id] == ("queued", 0, 7, "ada")
    with database.write() as session:
        repository.change_priority(session, job_id, -3)
    with database.read() as session:
        assert session.get_one(Job, job_id).priority == -3
    with pytest.raises(SpecError, match="priority"):
        parse_job({"priority": 101})


def test_an_owner_has_so_many_trials_under_way_and_no_more(database: Database, quick_search: Any) -> None:
    """Populations of two and one; two of one owner are too many, and another owner is not held up."""
    backend = SimulatedBackend(quick_search.evaluate, n_workers=8)
    led = Orchestrator(database, backend, OWNER, owner_trials=3)
    jobs = {}
    with database.write() as session:
        for owner in ("ada", "ada ", "bob"):
            jobs[owner], _ = repository.create_job(session, quick_search.spec, owner=owner.strip())
            leases.acquire_lease(session, jobs[owner], OWNER, 600)
    for _ in range(4):
        for event in backend.poll():
            led.record(event.key.job_id, [event])
        for job_id in jobs.values():
            led.turn(job_id)
        with database.read() as session:
            owners = select(Job.owner).join(Trial, Trial.job_id == Job.id).where(Trial.state.in_(("leased", "running")))
            under_way = session.scalars(owners).all()
        assert max(under_way.count("ada"), under_way.count("bob")) <= 3
    assert under_way


# --- budgets ----------------------------------------------------------------------------------------------------------


def of(search: Any, **budget: float) -> Any:
    """The same search with a budget."""
    return replace(search, spec=parse_budget(search.spec, **budget))


def parse_budget(spec: JobSpec, **budget: float) -> JobSpec:
    return replace(spec, budget=replace(spec.budget, **budget))


@pytest.mark.parametrize(
    ("budget", "kinds"),
    [({"trials": 5}, ["search"]), ({"trials": 6}, ["search"] * 2), ({"epochs": 12}, ["search"] * 2),
     ({"trials": 8}, ["search", "search", "tune"]), ({"trials": 1_000, "epochs": 10_000}, None)],
)  # fmt: skip
def test_a_budget_of_trials_or_epochs_ends_the_job_with_its_report_wherever_it_runs(
    database: Database, quick_search: Any, run_simulated: Any, budget: dict[str, int], kinds: list[str] | None
) -> None:
    """Two rounds of three trials of two epochs, two of the tuning: a round that does not fit is not begun."""
    search = of(quick_search, **budget)
    driver = Driver(database, search)
    driver.run()
    job, backend = driver.job(), SimulatedBackend(search.evaluate)
    local, report = loop.run_search(search.spec, lambda round_, groups: run_simulated(backend, round_, groups))
    assert driver.report() == report
    assert [record.round.kind for record in driver.history()] == [record.round.kind for record in local]
    assert job.state == "completed"
    assert job.n_trials == job.n_trials_done == sum(len(record.results) for record in local)
    if kinds is None:
        assert (job.reason, report) == ("", quick_search.report)
        return
    assert [record.round.kind for record in local] == kinds
    assert "is used up" in job.reason
    assert report.verdict.startswith(f"Ended early: {job.reason}. The schedules were not compared")
    assert report.recommended is not None
    assert report.keep_rate == local[report.recommended[0]].round.trials[report.recommended[1]].keep_rate


def test_a_choice_among_methods_that_a_budget_ends_says_who_leads(run_simulated: Any) -> None:
    """Of eight, four and two candidates on the way to the comparison, the first two rounds fit."""
    methods = ("standard", "selfteaching", "coteaching", "elr", "sce", "gce", "svc", "forest")
    choice = {"n_seeds": 2, "entries": [{"method": name} for name in methods]}
    spec = parse_job({"kind": "auto", "train": {"n_epochs": 3}, "compare": choice, "budget": {"trials": 13}})
    backend = SimulatedBackend(rising)
    history, report = loop.run_search(spec, lambda round_, groups: run_simulated(backend, round_, groups))
    assert [len(record.results) for record in history] == [8, 4]
    assert "the budget of 13 trials is used up" in report.verdict
    assert f"“{report.rows[0].label}” leads 8 candidates so far" in report.verdict
    assert "worse" not in report.verdict


@pytest.mark.parametrize(
    "budget", [{"trials": 0}, {"epochs": 0}, {"device_hours": 0}, {"wall_clock": 0}, {"trials": 2}, {"epochs": 5}]
)
def test_a_budget_of_nothing_is_refused(budget: dict[str, float]) -> None:
    with pytest.raises(SpecError) as refused:
        parse_job({"budget": budget, "train": {"n_epochs": 2}, "search": {"n_rounds": 2, "n_trials": 3}})
    assert [problem.field for problem in refused.value.problems] == [f"budget.{next(iter(budget))}"]


def test_in_one_process_nobody_counts_device_hours(quick_search: Any, run_simulated: Any) -> None:
    with pytest.raises(SpecError, match="outside of a service"):
        run(parse_budget(quick_search.spec, device_hours=1.0))
    spec = parse_budget(quick_search.spec, wall_clock=1e-9)
    backend = SimulatedBackend(quick_search.evaluate)
    history, report = loop.run_search(spec, lambda round_, groups: run_simulated(backend, round_, groups))
    assert len(history) == 1
    assert report.verdict.startswith("Ended early: the budget of 1e-09 hours is used up")


def test_a_budget_of_time_ends_the_job_where_it_is_and_what_was_done_is_stored(
    database: Database, quick_search: Any
) -> None:
    """Populations of two seconds on two places: the budget is used up while the third trains."""
    driver = Driver(database, of(quick_search, device_hours=5 / 3600), epoch_s=1.0)
    driver.run()
    job = driver.job()
    assert (job.state, job.stop) == ("completed", job.reason)
    assert "device hours is used up" in job.stop
    assert job.device_s > 0
    assert driver.trial_states().keys() <= {"succeeded", "cancelled"}
    assert driver.report().verdict.startswith("Ended early: the budget of")
    assert all(row.n_failed == 0 for row in driver.report().rows)
    assert not driver.backend.running()


def test_a_budget_of_the_clock_ends_a_job_and_one_without_a_result_has_failed(
    database: Database, quick_search: Any
) -> None:
    for n_done, state in ((2, "completed"), (0, "failed")):
        driver = Driver(database, of(quick_search, wall_clock=1.0))
        done = ("running", "succeeded")[n_done > 0]
        driver.run(until=lambda done=done, driver=driver: own_states(driver).get(done))
        with database.write() as session:
            session.get_one(Job, driver.job_id).started_at = utc_now() - timedelta(hours=1)
        driver.run()
        assert driver.job().state == state
        assert driver.job().reason.startswith("the budget of 1 hours is used up")


def own_states(driver: Driver) -> dict[str, int]:
    with driver.database.read() as session:
        states = session.scalars(select(Trial.state).where(Trial.job_id == driver.job_id)).all()
    return {state: states.count(state) for state in states}


# --- pause ------------------------------------------------------------------------------------------------------------


def test_a_pause_takes_effect_at_the_next_epoch_and_changes_no_number(database: Database, quick_search: Any) -> None:
    longer = {"train": replace(quick_search.spec.train, n_epochs=6)}
    search = replace(quick_search, spec=replace(quick_search.spec, **longer), evaluate=rising)
    undisturbed = Driver(database, search)
    undisturbed.run()
    driver = Driver(database, search)
    driver.run(until=lambda: own_states(driver).get("running"))
    driver.verb(repository.pause_job)
    began_s = driver.backend.now_s
    driver.run(until=lambda: not own_states(driver).get("running"))
    assert driver.backend.now_s - began_s <= 2.0  # of six
    assert driver.job().state == "paused"
    assert not driver.backend.running()
    with database.read() as session:
        outcomes = session.scalars(select(Attempt.outcome).where(Attempt.job_id == driver.job_id)).all()
    assert set(outcomes) == {"paused"}
    driver.verb(repository.resume_job)
    driver.run()
    assert driver.report() == undisturbed.report()


def rising(trial: Any) -> SimulatedTrial:
    return SimulatedTrial.constant(0.4 + 0.05 * (trial.k % 5) + 0.01 * trial.round, len(trial.keep_rate))


def events_of(backend: InlineBackend, key: PopulationKey, population: Population, pause_after: int) -> list[Event]:
    backend.start(key, population)
    events: list[Event] = []
    while backend.running():
        events += backend.poll()
        if sum(isinstance(event, EpochReported) for event in events) == pause_after:
            backend.pause(key)
    return events


def test_a_trainer_that_pauses_leaves_a_checkpoint_and_its_successor_ends_with_the_same_numbers(
    tmp_path: Path, tiny: Any
) -> None:
    population = tiny((0, 1), n_epochs=4)
    plain = events_of(InlineBackend(tmp_path / "plain"), PopulationKey("job", 0, 0, 1), population, -1)
    backend = InlineBackend(tmp_path / "paused")
    first = events_of(backend, PopulationKey("job", 0, 0, 1), population, 2)
    assert [type(event) for event in first[-3:]] == [EpochReported, EpochReported, PopulationLost]
    assert isinstance(first[-1], PopulationLost)
    assert (first[-1].cause, first[-1].retryable) == ("paused", True)
    second = events_of(backend, PopulationKey("job", 0, 0, 2), population, -1)
    assert results(second) == results(plain)
    assert rows(second) == rows(plain)
    assert not list((tmp_path / "paused").rglob("pause/*"))


def results(events: list[Event]) -> list[tuple[float | None, ...]]:
    ended: list[TrialResult] = [r for event in events if isinstance(event, PopulationFinished) for r in event.results]
    return [(result.objective, result.test_accuracy) for result in ended]


def rows(events: list[Event]) -> list[Any]:
    return [event.epochs for event in events if isinstance(event, EpochReported)]
