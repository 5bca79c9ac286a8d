"""The place never speaks for the trial: what is lost is tried again, a job that no place can train is blocked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.words import replace, to_json
from service.dispatch.breaker import BACK_OFF_S, QUARANTINE_S, Breaker
from service.store import repository
from service.store.engine import Database
from service.store.models import Attempt, Job, JobEvent, Transition, Trial
from service.testing.driver import Driver
from workers.backend import OUT_OF_MEMORY, PopulationHeld, PopulationKey
from workers.simulated import Loss, SimulatedTrial


def job_states(database: Database) -> list[str]:
    with database.read() as session:
        rows = select(Transition.new).where(Transition.trial_id.is_(None)).order_by(Transition.id)
        return list(session.scalars(rows))


def test_a_node_that_dies_again_and_again_ends_no_trial_and_moves_no_number(
    each_database: Database, quick_search: Any
) -> None:
    """Each population is lost six times, twice what once ended a trial."""

    def lost(key: PopulationKey) -> Loss | None:
        return Loss(1, "the node died") if key.attempt <= 6 else None

    driver = Driver(each_database, quick_search, lost=lost)
    driver.step_s = 60.0
    driver.run()
    assert driver.history() == quick_search.history
    assert driver.report() == quick_search.report
    assert driver.trial_states() == {"succeeded": loop.n_trials(quick_search.spec)}
    with each_database.read() as session:
        assert set(session.scalars(select(Trial.attempt))) == {7}


def test_losses_between_which_training_gets_further_hold_nobody_up(database: Database, quick_search: Any) -> None:
    """Whoever is killed often, but later each time, has trained: no wait grows, no place is shut."""
    spec = replace(quick_search.spec, train=replace(quick_search.spec.train, n_epochs=9))
    search = SimpleNamespace(spec=spec, evaluate=quick_search.evaluate)

    def lost(key: PopulationKey) -> Loss | None:
        return Loss(key.attempt) if key.round == 0 and key.attempt < 9 else None

    driver, shut = Driver(database, search, lost=lost), 0
    driver.step_s = BACK_OFF_S[1]

    def look() -> bool:
        nonlocal shut
        shut += len(driver.orchestrator.breaker.quarantined())
        return driver.trial_states().get("succeeded", 0) == 3

    driver.run(until=look)
    with database.read() as session:
        assert set(session.scalars(select(Trial.attempt).where(Trial.round == 0))) == {9}
    assert shut == 0
    assert job_states(database) == ["queued", "checking", "running"]  # never blocked


def test_losses_at_the_same_epoch_again_and_again_are_in_a_row(database: Database, quick_search: Any) -> None:
    spec = replace(quick_search.spec, train=replace(quick_search.spec.train, n_epochs=9))
    search = SimpleNamespace(spec=spec, evaluate=quick_search.evaluate)
    driver = Driver(database, search, lost=lambda key: Loss(4) if key.round == 0 else None)
    driver.run(until=lambda: driver.job().state == "blocked")
    assert driver.orchestrator.breaker.trouble(driver.job_id) == "simulated loss"


def test_a_job_no_place_can_train_is_blocked_with_the_reason_and_goes_on_by_itself(
    database: Database, quick_search: Any
) -> None:
    healed = False

    def lost(key: PopulationKey) -> Loss | None:
        return None if healed or key.round < 0 else Loss(0, "no such folder on node b", cause="data root missing")

    driver = Driver(database, quick_search, lost=lost)
    driver.run(until=lambda: driver.job().state == "blocked")
    assert driver.job().reason == "data root missing: no such folder on node b"
    assert driver.trial_states() == {"pending": 3}
    began_s = driver.now_s
    driver.run(until=lambda: driver.now_s > began_s + 300)
    with database.read() as session:
        n_attempts = len(session.scalars(select(Attempt.id)).all())
    assert n_attempts < 40, "the back-off has no effect"
    healed = True
    driver.run()
    assert driver.job().state == "completed"
    assert driver.history() == quick_search.history
    assert driver.report() == quick_search.report
    assert job_states(database) == ["queued", "checking", "running", "blocked", "running", "completed"]


def test_a_plan_that_no_worker_fits_blocks_at_once_and_a_new_worker_heals_it(
    database: Database, quick_search: Any
) -> None:
    driver = Driver(database, quick_search)
    driver.backend.lacks = lambda plan, avoid=frozenset(): "no node has a GPU"  # type: ignore[method-assign]
    driver.step()
    assert (driver.job().state, driver.job().reason) == ("blocked", "no node has a GPU")
    del driver.backend.lacks
    driver.run()
    assert driver.report() == quick_search.report
    assert job_states(database) == ["queued", "checking", "blocked", "checking", "running", "completed"]


def test_a_blocked_job_can_be_paused_resumed_and_cancelled(database: Database, quick_search: Any) -> None:
    driver = Driver(database, quick_search, lost=lambda key: Loss(0) if key.round == 0 else None)
    driver.run(until=lambda: driver.job().state == "blocked")
    driver.verb(repository.pause_job)
    driver.run()
    assert driver.job().state == "paused"
    driver.verb(repository.resume_job)
    driver.run(until=lambda: driver.job().state == "blocked")
    driver.verb(repository.cancel_job)
    driver.run()
    assert driver.job().state == "cancelled"
    assert driver.trial_states() == {"cancelled": 3}


def test_what_is_trained_and_cannot_be_written_blocks_and_is_not_trained_again(
    database: Database, quick_search: Any
) -> None:
    driver = Driver(database, quick_search)
    driver.run(until=lambda: driver.trial_states().get("running", 0) == 3)
    full = "artifact disk full: No space left on device (/artifacts on a)"
    keys = sorted(driver.backend.running(), key=lambda key: key.group)
    driver.orchestrator.record(driver.job_id, [PopulationHeld(keys[0], full)])
    driver.orchestrator.advance(driver.job_id)
    assert driver.job().state == "running"  # the other one gets on
    driver.orchestrator.record(driver.job_id, [PopulationHeld(key, full) for key in keys])
    driver.orchestrator.advance(driver.job_id)
    assert (driver.job().state, driver.job().reason) == ("blocked", full)
    driver.run()
    assert driver.report() == quick_search.report
    with database.read() as session:
        assert set(session.scalars(select(Trial.attempt))) == {1}


def test_out_of_memory_halves_the_population_for_good_and_changes_no_number(
    each_database: Database, quick_search: Any
) -> None:
    """Memory holds one trial. The plan of two remembers it, so whoever trains again trains the same populations."""
    spec = replace(quick_search.spec, plan=replace(quick_search.spec.plan, population=4))
    spec = parse_job(to_json(spec) | {"search": to_json(spec.search) | {"n_trials": 5}})
    sizes: dict[PopulationKey, int] = {}

    def lost(key: PopulationKey) -> Loss | None:
        return Loss(1, "CUDA out of memory", cause=OUT_OF_MEMORY) if key.round == 0 and sizes[key] > 1 else None

    def record_sizes(driver: Driver) -> None:
        start = driver.backend.start

        def sized(key: PopulationKey, population: Any, **more: Any) -> None:
            sizes[key] = len(population.trials)
            start(key, population, **more)

        driver.backend.start = sized  # type: ignore[method-assign]

    calm = Driver(each_database, replace(quick_search, spec=spec))
    calm.run()
    driver = Driver(each_database, replace(quick_search, spec=spec), lost=lost)
    record_sizes(driver)
    driver.run()
    assert driver.job().population == 1
    assert {size for key, size in sizes.items() if key.round > 0} == {1}
    assert driver.history() == calm.history()
    assert driver.report() == calm.report()
    with each_database.read() as session:
        causes = select(Attempt.reason).where(Attempt.job_id == driver.job_id, Attempt.outcome == "lost")
        assert set(session.scalars(causes)) == {"CUDA out of memory"}


def test_a_population_too_large_for_the_check_is_halved_before_round_0(database: Database, quick_search: Any) -> None:
    n_lost = 0

    def lost(key: PopulationKey) -> Loss | None:
        nonlocal n_lost
        if key.round >= 0 or n_lost:
            return None
        n_lost += 1
        return Loss(0, "CUDA out of memory", cause=OUT_OF_MEMORY)

    driver = Driver(database, quick_search, lost=lost)
    driver.run()
    assert driver.job().population == 1
    assert driver.history() == quick_search.history
    with database.read() as session:
        groups = session.execute(select(Trial.group, Trial.k).where(Trial.round == 0).order_by(Trial.k)).all()
    assert sorted(group for group, _ in groups) == [0, 1, 2]


def test_a_place_that_fails_three_times_is_quarantined_and_the_others_go_on(
    database: Database, quick_search: Any
) -> None:
    used: list[str] = []
    driver = Driver(database, quick_search)
    plan = driver.backend._plan

    def first_place_fails(key: PopulationKey, population: Any) -> Any:
        place = driver.backend._busy[key]
        used.append(f"simulated:{place}")
        driver.backend._lost = lambda key: Loss(0, "its disk is dying") if place == 0 else None
        return plan(key, population)

    driver.backend._plan = first_place_fails  # type: ignore[method-assign]
    driver.run(until=lambda: used.count("simulated:0") == 3 and bool(driver.orchestrator.breaker.quarantined()))
    quarantined = driver.orchestrator.breaker.quarantined()
    assert {place: why.reason for place, why in quarantined.items()} == {"simulated:0": "simulated: its disk is dying"}
    n_used = len(used)
    driver.run(until=lambda: driver.now_s > 25)
    assert set(used[n_used:]) <= {"simulated:1"}
    driver.run()
    assert driver.report() == quick_search.report


def test_a_population_that_falls_silent_is_tried_again(database: Database, quick_search: Any) -> None:
    """The first one begins and never reports; its late word changes nothing."""
    driver = Driver(database, quick_search)
    driver.orchestrator._stall_s = 30.0
    plan, silenced = driver.backend._plan, []

    def silent_once(key: PopulationKey, population: Any) -> Any:
        events = plan(key, population)
        if silenced:
            return events
        silenced.append(key)
        return events[:1]

    driver.backend._plan = silent_once  # type: ignore[method-assign]
    driver.run()
    assert driver.report() == quick_search.report
    with database.read() as session:
        reasons = select(Attempt.reason).where(Attempt.outcome == "lost")
        assert set(session.scalars(reasons)) == {"it said nothing for 30 s"}


# --- the breaker alone ------------------------------------------------------------------------------------------------


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_wait_of_a_job_grows_and_one_good_end_closes_the_circuit(clock: Clock) -> None:
    breaker, waited = Breaker(clock), []
    for _ in range(len(BACK_OFF_S) + 1):
        breaker.lost("job", "trainer lost", "killed", "a")
        began_s = clock.now_s
        while breaker.waits("job"):
            clock.now_s += 0.25
        waited.append(clock.now_s - began_s)
        clock.now_s = max(clock.now_s, began_s + 1)
    assert waited == [*BACK_OFF_S, BACK_OFF_S[-1]]
    assert breaker.trouble("job") == "trainer lost: killed"
    breaker.lost("job", "trainer lost", "killed", "a")
    breaker.went_well("job", "a")
    assert not breaker.waits("job")
    assert breaker.trouble("job") == ""
    assert breaker.quarantined() == {}


def test_losses_at_one_instant_are_one_failure_of_the_place(clock: Clock) -> None:
    breaker = Breaker(clock)
    for _ in range(8):
        breaker.lost("job", "trainer lost", "the node died", "a")
    assert breaker.quarantined() == {}
    for _ in range(2):
        clock.now_s += 5
        breaker.lost("other", "trainer lost", "the node died", "a")
    assert set(breaker.quarantined()) == {"a"}
    clock.now_s += QUARANTINE_S[0]
    assert breaker.quarantined() == {}
    breaker.lost("job", "trainer lost", "the node died", "a")
    clock.now_s += QUARANTINE_S[0]
    assert set(breaker.quarantined()) == {"a"}  # for longer than the first time


# --- a job that is at fault itself ------------------------------------------------------------------------------------


def test_a_job_that_cannot_be_trained_fails_before_its_first_round(each_database: Database, quick_search: Any) -> None:
    reason = "data.csv.label_column = 'lable': no such column"
    driver = Driver(each_database, quick_search, lost=lambda key: Loss(0, reason, retryable=False))
    driver.run()
    assert (driver.job().state, driver.job().reason) == ("failed", reason)
    assert driver.trial_states() == {}
    assert job_states(each_database) == ["queued", "checking", "failed"]


def test_the_check_leaves_an_estimate_before_the_first_round(database: Database, quick_search: Any) -> None:
    driver = Driver(database, quick_search)
    driver.run()
    estimate = driver.job().estimate
    assert estimate is not None
    # 2 epochs of one second; 7 or more trials in populations of 2 on two simulated workers
    n_populations = -(-loop.n_trials(quick_search.spec) // 2)
    assert (estimate["epoch_s"], estimate["place"]) == (1.0, "simulated:0")
    assert estimate["job_s"] == 2 * -(-n_populations // 2)


def test_a_comparison_checks_each_method_once(database: Database, quick_comparison: Any) -> None:
    checked = []
    driver = Driver(database, quick_comparison)
    start = driver.backend.start

    def watched(key: PopulationKey, population: Any, **more: Any) -> None:
        if key.round < 0:
            checked.append(population.train.method)
        start(key, population, **more)

    driver.backend.start = watched  # type: ignore[method-assign]
    driver.run()
    assert sorted(checked) == ["coteaching", "gce", "standard"]
    assert driver.job().state == "completed"


def test_a_whole_first_round_that_fails_alike_ends_the_job(each_database: Database, quick_search: Any) -> None:
    def lost(key: PopulationKey) -> Loss | None:
        return None if key.round < 0 else Loss(0, "too few rows", retryable=False)

    driver = Driver(each_database, quick_search, lost=lost)
    driver.run()
    assert driver.job().state == "failed"
    assert driver.job().reason == "all 3 trials of round 1 failed alike: too few rows"


def test_a_job_in_which_nothing_trained_has_failed(database: Database, quick_search: Any) -> None:
    def evaluate(trial: Any) -> SimulatedTrial:
        return replace(quick_search.evaluate(trial), reason=f"loss became NaN at epoch {trial.k % 2}")

    driver = Driver(database, quick_search, evaluate=evaluate)
    driver.run()
    job = driver.job()
    assert job.state == "failed"
    assert job.reason.startswith("none of ")
    assert "loss became NaN at epoch" in job.reason


def test_a_retry_of_a_job_in_which_nothing_trained_begins_anew(each_database: Database, quick_search: Any) -> None:
    healed = False

    def lost(key: PopulationKey) -> Loss | None:
        return None if key.round < 0 or healed else Loss(0, "too few rows", retryable=False)

    driver = Driver(each_database, quick_search, lost=lost)
    driver.run()
    assert driver.job().state == "failed"
    healed = True
    driver.verb(repository.retry_job)
    take(driver)
    driver.run()
    assert driver.job().state == "completed"
    assert driver.history() == quick_search.history
    assert driver.report() == quick_search.report
    assert driver.job().n_trials_done == loop.n_trials(quick_search.spec)
    with each_database.read() as session:
        events = session.execute(select(JobEvent.kind, JobEvent.data).order_by(JobEvent.id)).all()
    assert [data["state"] for kind, data in events if kind == "job"][:3] == ["queued", "checking", "running"]


def test_a_retry_keeps_what_ended_well_and_trains_only_what_was_open(database: Database, quick_search: Any) -> None:
    driver = Driver(database, quick_search)
    driver.run(until=lambda: driver.job().n_trials_done >= 3)
    driver.step()
    driver.orchestrator.fail(driver.job_id, "a bug")
    before = driver.trial_states()
    assert before["cancelled"] > 0
    driver.verb(repository.retry_job)
    take(driver)
    driver.run()
    assert driver.report() == quick_search.report
    with database.read() as session:
        attempts = session.execute(select(Trial.round, Trial.attempt).distinct()).all()
    assert {attempt for round_, attempt in attempts if round_ == 0} == {1}


def take(driver: Driver) -> None:
    """Lead the job again, which nobody leads after its end."""
    from service.store import leases
    from service.testing.driver import OWNER

    with driver.database.write() as session:
        assert leases.acquire_lease(session, driver.job_id, OWNER, 600)
    driver.orchestrator.take_over(driver.job_id)


def test_only_a_failed_job_can_be_tried_again(database: Database, quick_search: Any) -> None:
    from service.errors import IllegalTransition

    driver = Driver(database, quick_search)
    driver.run()
    with pytest.raises(IllegalTransition), database.write() as session:
        repository.retry_job(session, driver.job_id)
    with database.read() as session:
        assert session.get_one(Job, driver.job_id).state == "completed"
