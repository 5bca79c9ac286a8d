"""A job advanced by hand: the in-process theta and report, replay, failures, and the user's verbs."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.jobs.search import observations
from s2e.words import CompareReport, PlanSpec, read, replace, to_json
from service.api import jobs
from service.dispatch.places import capacity
from service.store import repository
from service.store.engine import Database
from service.store.models import Attempt, Epoch, JobEvent, JobReport, Trial
from service.testing.driver import Driver
from workers.backend import PopulationKey, PopulationStarted, WorkerInfo
from workers.simulated import Loss, SimulatedTrial


def test_a_whole_job_ends_as_it_does_in_process(each_database: Database, quick_search: Any) -> None:
    driver = Driver(each_database, quick_search)
    driver.run()
    assert driver.history() == quick_search.history
    assert driver.report() == quick_search.report
    job = driver.job()
    n_trials = loop.n_trials(quick_search.spec)
    assert (job.state, job.n_trials, job.n_trials_done) == ("completed", n_trials, n_trials)
    assert driver.trial_states() == {"succeeded": n_trials}
    with each_database.read() as session:
        assert session.scalar(select(func.count()).select_from(Epoch)) == n_trials * quick_search.spec.train.n_epochs
        assert set(session.scalars(select(Trial.attempt))) == {1}
        kinds = session.scalars(select(JobEvent.kind).order_by(JobEvent.id)).all()
    assert kinds[-2:] == ["report", "job"]
    assert kinds.count("round") == loop.n_rounds(quick_search.spec)


def test_rounds_of_unequal_size_and_continued_trials_end_as_they_do_in_process(
    each_database: Database, quick_halving: Any
) -> None:
    driver = Driver(each_database, quick_halving)
    driver.run()
    history = driver.history()
    assert history == quick_halving.history
    assert driver.report() == quick_halving.report
    assert [len(record.round.trials) for record in history[:3]] == [3, 1, 2]
    assert history[1].round.trials[0].fidelity.resume is not None
    n_trials = loop.n_trials(quick_halving.spec)
    assert driver.job().n_trials == driver.job().n_trials_done == n_trials
    with each_database.read() as session:
        n_epochs = session.scalar(select(func.count()).select_from(Epoch))
    assert n_epochs == 3 * n_trials - 3  # what the three trials of the first rung did not run


def test_a_comparison_ends_as_it_does_in_process(each_database: Database, quick_comparison: Any) -> None:
    """Three methods on two seeds, in stacks of two trials with equal settings: one round, then the report."""
    driver = Driver(each_database, quick_comparison)
    driver.run()
    assert driver.history() == quick_comparison.history
    with each_database.read() as session:
        stored = session.get_one(JobReport, driver.job_id).report
        groups = session.execute(select(Trial.group, Trial.label).distinct().order_by(Trial.group)).all()
    assert read(CompareReport, stored) == quick_comparison.report
    assert [tuple(row) for row in groups] == [(0, "standard"), (1, "coteaching"), (2, "gce")]
    assert driver.trial_states() == {"succeeded": 6}


def test_a_comparison_decided_early_completes_with_fewer_trials(database: Database, quick_search: Any) -> None:
    """The searched schedule is so far ahead of all that the first look ends it: the totals are what was needed."""
    spec = parse_job(to_json(quick_search.spec) | {"report": {"n_seeds": 2, "max_seeds": 8, "taus": [0.3]}})

    def evaluate(trial: Any) -> SimulatedTrial:
        measured = quick_search.evaluate(trial).test_accuracy[0] / 2
        return SimulatedTrial.constant((0.9 if trial.label == "searched" else 0.1) + measured / 1_000, 2)

    driver = Driver(database, replace(quick_search, spec=spec), evaluate=evaluate)
    driver.run()
    job, history = driver.job(), driver.history()
    n_run = sum(len(record.round.trials) for record in history)
    assert (job.state, job.n_trials, job.n_trials_done) == ("completed", n_run, n_run)
    assert n_run < loop.n_trials(spec)
    assert len(history) < loop.n_rounds(spec)
    with database.read() as session:
        progress = jobs.get(session, job.id).progress
    assert (progress.rounds_done, progress.rounds_total) == (len(history), len(history))
    assert progress.epochs_done == progress.epochs_total == 2 * n_run


def test_replay_from_every_stored_round_gives_the_next(sqlite_url: str, quick_search: Any) -> None:
    database = Database(sqlite_url)
    driver = Driver(database, quick_search)
    driver.run()
    history = driver.history()
    database.close()
    assert len(history) == loop.n_rounds(quick_search.spec)
    for m, record in enumerate(history):
        assert loop.next_round(quick_search.spec, history[:m]) == record.round
    assert loop.next_round(quick_search.spec, history) is None


def test_a_failing_trial_is_recorded_and_the_search_goes_on(database: Database, quick_search: Any) -> None:
    def evaluate(trial: Any) -> SimulatedTrial:
        good = quick_search.evaluate(trial)
        return replace(good, reason="the loss is not a number") if (trial.round, trial.k) == (0, 1) else good

    driver = Driver(database, quick_search, evaluate=evaluate)
    driver.run()
    assert driver.job().state == "completed"
    assert driver.trial_states() == {"succeeded": loop.n_trials(quick_search.spec) - 1, "failed": 1}
    failed = driver.history()[0].results[1]
    assert (failed.failed, failed.objective, failed.reason) == (True, None, "the loss is not a number")
    worst = max(o.objective for o in observations(driver.history()[0]) if not o.failed)
    assert observations(driver.history()[0])[1].objective == worst


def test_a_lost_population_is_trained_again_and_changes_no_number(database: Database, quick_search: Any) -> None:
    def lost(key: PopulationKey) -> Loss | None:
        return Loss(1, "the node died") if key.attempt == 1 else None

    driver = Driver(database, quick_search, lost=lost)
    driver.run()
    assert driver.history() == quick_search.history
    assert driver.report() == quick_search.report
    with database.read() as session:
        assert set(session.scalars(select(Trial.attempt))) == {2}
        assert set(session.scalars(select(Attempt.reason).where(Attempt.attempt == 1))) == {"the node died"}


def test_pausing_starts_nothing_new_and_resuming_ends_at_the_same_report(database: Database, quick_search: Any) -> None:
    driver = Driver(database, quick_search)
    driver.run(until=driver.trial_states)  # behind the check
    driver.verb(repository.pause_job)
    driver.run()
    assert driver.job().state == "paused"
    assert driver.trial_states() == {"pending": quick_search.spec.search.n_trials}
    assert not driver.backend.running()
    driver.verb(repository.resume_job)
    driver.run()
    assert driver.report() == quick_search.report


def test_cancelling_stops_what_trains_and_closes_every_trial(database: Database, quick_search: Any) -> None:
    driver = Driver(database, quick_search)
    driver.run(until=lambda: driver.job().n_trials_done >= 3)
    driver.step()
    assert driver.backend.running()
    driver.verb(repository.cancel_job)
    assert driver.orchestrator.advance(driver.job_id)
    assert not driver.backend.running()
    job = driver.job()
    assert (job.state, job.lease_owner, job.n_trials_done) == ("cancelled", None, 3)
    assert driver.trial_states() == {"succeeded": 3, "cancelled": 3}
    with database.read() as session:
        assert session.get(JobReport, driver.job_id) is None


def test_taking_over_attaches_to_what_trains_and_puts_back_what_is_gone(database: Database, quick_search: Any) -> None:
    driver = Driver(database, quick_search)
    driver.run(until=lambda: driver.trial_states() == {"running": 3})
    first, second = sorted(driver.backend.running(), key=lambda key: key.group)
    driver.backend.cancel(second)
    driver.orchestrator.take_over(driver.job_id)
    assert driver.trial_states() == {"running": 2, "pending": 1}
    assert driver.backend.running() == {first}
    driver.run()
    assert driver.report() == quick_search.report
    with database.read() as session:
        assert session.scalar(select(func.count()).where(Attempt.attempt > 1)) == 1
        rows = session.execute(select(Epoch.trial_id, Epoch.attempt, func.count()).group_by(Epoch.trial_id)).all()
    assert {n for *_, n in rows} == {quick_search.spec.train.n_epochs}


@pytest.mark.parametrize("by", ["take_over", "sweep"])
def test_what_trains_under_an_attempt_that_is_not_current_is_stopped(
    database: Database, quick_search: Any, by: str
) -> None:
    """A dispatcher that was frozen may start it after it lost the lease."""
    driver = Driver(database, quick_search)
    driver.run(until=lambda: driver.trial_states() == {"running": 3})
    (key, flight), *_ = driver.orchestrator._lead.known(driver.job_id).in_flight.items()  # type: ignore[union-attr]
    for other in driver.backend.running():
        driver.backend.cancel(other)
    late = replace(key, attempt=key.attempt - 1)
    driver.backend.start(late, flight.population)
    driver.backend.leave(driver.job_id)
    getattr(driver.orchestrator, by)(driver.job_id)
    assert not driver.backend.running()
    assert driver.backend.attach(driver.job_id) == {}
    driver.orchestrator.take_over(driver.job_id)
    driver.run()
    assert driver.report() == quick_search.report


def test_a_late_event_after_a_take_over_is_only_counted(database: Database, quick_search: Any) -> None:
    driver = Driver(database, quick_search)
    driver.run(until=driver.trial_states)
    driver.orchestrator.drop(driver.job_id)
    driver.orchestrator.take_over(driver.job_id)
    driver.orchestrator.record(driver.job_id, [PopulationStarted(PopulationKey(driver.job_id, 0, 0, 1), "host:1")])
    assert driver.trial_states() == {"pending": 3}
    driver.run()
    assert driver.report() == quick_search.report
    with database.read() as session:
        assert session.scalar(select(func.sum(Attempt.n_stale))) == 2


@pytest.mark.parametrize(
    ("workers", "plan", "expected"),
    [
        ([], PlanSpec(), 2),
        ([WorkerInfo("a", 2, 0, 0)], PlanSpec(), 3),
        ([WorkerInfo("a", 8, 1, 0), WorkerInfo("b", 8, 1, 0)], PlanSpec(threads=4), 5),
        ([WorkerInfo("a", 8, 1, 0), WorkerInfo("b", 8, 1, 0)], PlanSpec(device="cuda"), 3),
    ],
)
def test_one_population_more_than_there_are_places(workers: list[WorkerInfo], plan: PlanSpec, expected: int) -> None:
    assert capacity(workers, plan) == expected
