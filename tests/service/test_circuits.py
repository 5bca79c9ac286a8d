"""A circuit for each place and cause: what fails shuts a place for those that need it, and for nobody else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2e.door import parse_job
from s2e.words import replace
from service.dispatch.breaker import BACK_OFF_S, OPEN_AFTER, QUARANTINE_S, Breaker
from service.dispatch.needs import need
from service.store import leases, repository
from service.store.engine import Database
from service.store.models import Job
from service.testing.driver import OWNER, Driver
from workers.backend import (
    DATA_MISSING,
    DEVICE_FAILED,
    DISK_FAILED,
    LOST_TRAINER,
    OUT_OF_MEMORY,
    PopulationHeld,
    PopulationKey,
)
from workers.simulated import Loss

HERE, THERE = "simulated:0", "simulated:1"


class Several(Driver):
    """Jobs beside each other under one dispatcher; ``fails(place, job_id)`` says which tries a place loses, and why."""

    def __init__(self, database: Database, search: Any) -> None:
        self.fails: dict[tuple[str, str], Loss] = {}
        self.tries: list[tuple[str, str]] = []
        super().__init__(database, search, lost=self._lost)
        self.jobs = [self.job_id]
        self.done: set[str] = set()

    def _lost(self, key: PopulationKey) -> Loss | None:
        """Asked when a population gets its place."""
        tried = f"simulated:{self.backend._busy[key]}", key.job_id
        self.tries.append(tried)
        return self.fails.get(tried)

    def submit(self, spec: Any) -> str:
        with self.database.write() as session:
            job_id, _ = repository.create_job(session, spec)
            leases.acquire_lease(session, job_id, OWNER, 600)
        self.orchestrator.take_over(job_id)
        self.jobs.append(job_id)
        return job_id

    def step(self) -> bool:
        self.now_s += self.step_s
        events = self.backend.poll()
        for job_id in self.jobs:
            if job_id not in self.done:
                self.orchestrator.record(job_id, [event for event in events if event.key.job_id == job_id])
                if self.orchestrator.advance(job_id):
                    self.done.add(job_id)
        return len(self.done) == len(self.jobs)

    def state(self, job_id: str) -> tuple[str, str]:
        with self.database.read() as session:
            job = session.get_one(Job, job_id)
            return job.state, job.reason

    def tried_at(self, place: str, job_id: str) -> int:
        return self.tries.count((place, job_id))


def on_files(spec: Any) -> Any:
    """The same job on data below the data root."""
    return replace(spec, data=replace(spec.data, name="mnist"))


def test_a_place_without_data_is_shut_for_jobs_that_need_data_and_for_no_other(
    each_database: Database, quick_search: Any
) -> None:
    reads = SimpleNamespace(spec=on_files(quick_search.spec), evaluate=quick_search.evaluate)
    driver = Several(each_database, reads)
    needy = driver.job_id
    driver.fails[HERE, needy] = Loss(0, "no such folder", cause=DATA_MISSING)
    driver.run(until=lambda: driver.tried_at(HERE, needy) == OPEN_AFTER)
    driver.step()
    [circuit] = driver.orchestrator.breaker.circuits()
    assert (circuit.place, circuit.cause, circuit.need) == (HERE, DATA_MISSING, "the data root")
    assert driver.orchestrator.breaker.quarantined() == {}
    other = driver.submit(quick_search.spec)
    shut_until_s = driver.now_s + QUARANTINE_S[0] - 3
    driver.run(until=lambda: driver.now_s > shut_until_s or driver.tried_at(HERE, other) >= 2)
    assert driver.tried_at(HERE, other) >= 2
    assert driver.tried_at(HERE, needy) == OPEN_AFTER
    driver.run()
    assert {driver.state(job_id)[0] for job_id in driver.jobs} == {"completed"}


def test_a_cause_at_every_place_blocks_the_jobs_it_concerns_and_heals_by_itself(
    database: Database, quick_search: Any
) -> None:
    reads = SimpleNamespace(spec=on_files(quick_search.spec), evaluate=quick_search.evaluate)
    driver = Several(database, reads)
    first = driver.job_id
    gone = Loss(0, "no such folder", cause=DATA_MISSING)
    driver.fails.update({(HERE, first): gone, (THERE, first): gone})
    driver.run(until=lambda: len(driver.orchestrator.breaker.shut("new", lambda _: "the data root")) == 2)
    second, other = driver.submit(on_files(quick_search.spec)), driver.submit(quick_search.spec)
    driver.fails.update({(HERE, second): gone, (THERE, second): gone})
    driver.run(until=lambda: driver.state(other)[0] == "completed")
    said = "simulated:0 is quarantined: data root missing: no such folder; simulated:1 is quarantined: data root"
    assert driver.state(second) == ("blocked", f"{said} missing: no such folder")
    assert driver.state(first)[0] == "blocked"
    began_s, n_before = driver.now_s, len(driver.tries)
    driver.run(until=lambda: driver.now_s > began_s + 300)
    assert 2 <= len(driver.tries) - n_before < 20, "one probe at a time, and each place less and less often"
    driver.fails.clear()
    driver.run()
    assert {driver.state(job_id)[0] for job_id in driver.jobs} == {"completed"}


def test_a_place_whose_disk_is_full_gets_nothing_more_while_finished_work_waits_there(
    database: Database, quick_search: Any
) -> None:
    driver = Several(database, quick_search)
    driver.run(until=lambda: driver.trial_states().get("running", 0) == 3)
    held = next(key for key, worker in driver.backend._busy.items() if worker == 0)
    full = PopulationHeld(held, "artifact disk full: No space left", "artifact disk full")
    driver.orchestrator.record(driver.job_id, [full])
    [circuit] = driver.orchestrator.breaker.circuits()
    assert (circuit.place, circuit.cause, circuit.need) == (HERE, "artifact disk full", "")
    assert set(driver.orchestrator.breaker.shut("another job", lambda _: "")) == {HERE}
    driver.run()
    assert driver.orchestrator.breaker.circuits() == []
    assert driver.report() == quick_search.report


def test_a_job_whose_processes_die_shuts_places_for_itself_until_another_one_dies_there_too() -> None:
    now_s = 0.0
    breaker = Breaker(lambda: now_s)
    for _ in range(OPEN_AFTER):
        breaker.lost("poison", LOST_TRAINER, "signal 11", "a")
        now_s += 2
    assert set(breaker.shut("poison", everybodys)) == {"a"}
    assert breaker.shut("other", everybodys) == {}
    breaker.went_well("other", "a", everybodys)
    assert set(breaker.shut("poison", everybodys)) == {"a"}
    breaker.lost("other", LOST_TRAINER, "signal 11", "a")
    assert set(breaker.shut("third", everybodys)) == {"a"}


def test_three_places_one_after_the_other_are_all_places_until_one_goes_well() -> None:
    now_s = 0.0
    breaker = Breaker(lambda: now_s)
    for place in "aabc":
        assert breaker.shut("new", everybodys) == {}
        breaker.lost("job", DISK_FAILED, "read-only", place)
        now_s += 2
    now_s -= 2
    assert breaker.shut("new", everybodys) == {"": "disk failed: read-only"}
    now_s += BACK_OFF_S[0]
    key, later = PopulationKey("new", 0, 0, 1), PopulationKey("job", 0, 0, 2)
    assert breaker.tries(key, everybodys) == frozenset()
    assert set(breaker.shut("job", everybodys)) == {""}
    breaker.began(key, "d")
    assert set(breaker.shut("job", everybodys)) == {""}
    breaker.went_well("new", "d", everybodys)
    assert breaker.tries(later, everybodys) == frozenset()
    assert breaker.shut("new", everybodys) == {}


def everybodys(_: str) -> str:
    return ""


def test_needs_tell_jobs_apart_by_what_fails() -> None:
    digits, mnist = parse_job({}), parse_job({"data": {"name": "mnist"}})
    large = parse_job({"data": {"name": "mnist"}, "train": {"batch_size": 1024}})
    on_gpu = parse_job({"plan": {"device": "cuda"}})

    def same(cause: str, one: Any, other: Any) -> bool:
        return need(cause, one, "1") == need(cause, other, "2")

    assert not same(DATA_MISSING, digits, mnist)
    assert same(DATA_MISSING, large, mnist)
    assert not same(DEVICE_FAILED, digits, on_gpu)
    assert same(DEVICE_FAILED, digits, mnist)
    assert not same(OUT_OF_MEMORY, large, mnist)
    assert same(DISK_FAILED, digits, on_gpu)


# --- the state machine ------------------------------------------------------------------------------------------------

JOBS, PLACES, CAUSES = ("x", "y"), ("a", "b"), (DATA_MISSING, DISK_FAILED)
EVENTS = st.one_of(
    st.tuples(st.just("lost"), st.sampled_from(JOBS), st.sampled_from(PLACES), st.sampled_from(CAUSES)),
    st.tuples(st.just("held"), st.sampled_from(JOBS), st.sampled_from(PLACES), st.just(DISK_FAILED)),
    st.tuples(st.just("well"), st.sampled_from(JOBS), st.sampled_from(PLACES), st.just("")),
    st.tuples(st.just("give"), st.sampled_from(JOBS), st.sampled_from(PLACES), st.just("")),
    st.tuples(st.just("over"), st.sampled_from(JOBS), st.just(""), st.just("")),
    st.tuples(st.just("forget"), st.sampled_from(JOBS), st.just(""), st.just("")),
    st.tuples(st.just("time"), st.just(""), st.just(""), st.floats(0.1, 100.0)),
)


def needs_of(job_id: str) -> Any:
    """Job x reads data, y does not."""
    return lambda cause: "" if cause != DATA_MISSING else "data" if job_id == "x" else "nothing"


class Machine:
    """A breaker, and who tries where."""

    def __init__(self) -> None:
        self.now_s, self.n_keys = 0.0, 0
        self.breaker = Breaker(lambda: self.now_s)
        self.under_way: list[PopulationKey] = []

    def lost(self, job_id: str, place: str, cause: str) -> None:
        if (needed := needs_of(job_id)(cause)) != "nothing":
            self.breaker.lost(job_id, cause, "gone", place, needed)

    def held(self, job_id: str, place: str, cause: str) -> None:
        self.breaker.held(job_id, cause, "full", place)

    def well(self, job_id: str, place: str, _: str) -> None:
        self.breaker.went_well(job_id, place, needs_of(job_id))
        assert place not in self.breaker.shut(job_id, needs_of(job_id))

    def give(self, job_id: str, place: str, _: str) -> None:
        needs, breaker = needs_of(job_id), self.breaker
        if "" in (shut := breaker.shut(job_id, needs)):
            return
        self.n_keys += 1
        key, to_try = PopulationKey(job_id, 0, self.n_keys, 1), breaker.to_try(job_id, needs)
        assert breaker.tries(key, needs) == shut.keys()
        assert to_try <= breaker.shut(job_id, needs).keys(), "a second one could try"
        breaker.began(key, place)
        assert not to_try - {place} & breaker.shut(job_id, needs).keys()
        self.under_way.append(key)

    def over(self, job_id: str, _: str, __: str) -> None:
        for key in self.under_way:
            if key.job_id == job_id:
                self.breaker.trained(key)

    def forget(self, job_id: str, _: str, __: str) -> None:
        self.breaker.forget(job_id)

    def time(self, _: str, __: str, seconds: float) -> None:
        self.now_s += seconds


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=40))
def test_whatever_happens_one_tries_at_a_time_nobody_else_suffers_and_it_heals(events: list[Any]) -> None:
    machine = Machine()
    breaker = machine.breaker
    for what, *more in events:
        getattr(machine, what)(*more)
        if all(circuit.cause == DATA_MISSING for circuit in breaker.circuits()):
            assert breaker.shut("y", needs_of("y")) == {}
    for job_id in JOBS:
        machine.over(job_id, "", "")
    machine.now_s += QUARANTINE_S[-1]
    for job_id in JOBS:
        assert breaker.shut(job_id, needs_of(job_id)) == {}
        for place in PLACES:
            breaker.went_well(job_id, place, needs_of(job_id))
    assert breaker.circuits() == []


def test_a_circuit_is_told_by_the_api_and_the_doctor(
    http: Any, database: Database, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.doctor import WARNING, examine
    from service.store.changes import utc_now
    from workers.backend import WorkerInfo

    now = utc_now().replace(microsecond=0)
    circuit = leases.Circuit("node b", DATA_MISSING, "data root /d missing on b", "the data root", now, now)
    with database.write() as session:
        leases.record_workers(session, [WorkerInfo("node b", 2, 0, 0)], {}, [circuit])
    [told] = http.get("/workers").json()["items"][0]["circuits"]
    assert (told["cause"], told["need"], told["everywhere"]) == (DATA_MISSING, "the data root", False)
    assert told["since"] == told["next_try"]
    settings.backend, settings.port = "simulated", 1
    [finding] = [finding for finding in examine(settings) if finding.name == f"node b: {DATA_MISSING}"]
    assert finding.state == WARNING
    assert finding.detail.startswith("data root /d missing on b; since ")
    assert finding.detail.endswith("concerns jobs that need the data root")
