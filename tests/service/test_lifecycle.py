"""The tables of states: what they promise, and jobs under any sequence of verbs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from s2e.jobs import loop
from s2e.words import TrialResult, states
from s2e.words.states import JOB_ENDED, JOB_TRANSITIONS, TRIAL_ENDED, TRIAL_IN_FLIGHT, TRIAL_TRANSITIONS
from service.errors import IllegalTransition
from service.lifecycle import check_job, check_trial
from service.store import leases, populations, repository, rounds
from service.store.changes import LeaseLostError
from service.store.engine import Database
from service.store.models import Attempt, Job, Transition, Trial
from workers.backend import Event, PopulationFinished, PopulationHeld, PopulationKey, PopulationLost, PopulationStarted

OWNER = "test:1"
TABLES = [(JOB_TRANSITIONS, JOB_ENDED, check_job), (TRIAL_TRANSITIONS, TRIAL_ENDED, check_trial)]


@pytest.mark.parametrize(("table", "ended", "check"), TABLES, ids=["job", "trial"])
def test_every_state_is_reached_ends_and_what_has_ended_stays(
    table: dict[str, frozenset[str]], ended: frozenset[str], check: Callable[[str, str], None]
) -> None:
    start = next(iter(table))
    reached, frontier = {start}, [start]
    while frontier:
        following = table[frontier.pop()] - reached
        reached |= following
        frontier += following
    assert reached == set(table)
    for old, allowed in table.items():
        assert old not in allowed
        assert allowed or old in ended
        for new in table:
            if new in allowed:
                check(old, new)
            else:
                with pytest.raises(IllegalTransition):
                    check(old, new)


def test_states_are_those_of_the_design() -> None:
    assert set(states.JOB_STATES) == {
        "queued", "checking", "running", "blocked", "paused", "cancelling", "cancelled", "completed", "failed",
    }  # fmt: skip
    assert set(states.TRIAL_STATES) == {
        "pending", "leased", "running", "succeeded", "failed", "cancelled", "lost",
    }  # fmt: skip


class JobUnderVerbs(RuleBasedStateMachine):
    """Users, dispatchers and a backend do to one job whatever comes to mind, late and repeated events included."""

    template: Path
    round_: Any
    spec: Any

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="s2e-lifecycle-"))
        shutil.copyfile(self.template, self.folder / "s2e.db")
        self.database = Database(f"sqlite:///{self.folder / 's2e.db'}")
        with self.database.write() as session:
            self.job_id, _ = repository.create_job(session, self.spec)
            leases.acquire_lease(session, self.job_id, OWNER, 600)
            rounds.insert_round(session, self.job_id, OWNER, self.spec, self.round_)
        self.groups = loop_groups(self.spec, self.round_)
        self.ended: dict[str, str] = {}

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    def act(self, function: Callable[..., Any], *args: Any) -> None:
        """Refusals are fine, as long as they are the named ones."""
        try:
            with self.database.write() as session:
                function(session, self.job_id, *args)
        except (IllegalTransition, LeaseLostError):
            pass

    @rule(verb=st.sampled_from([repository.cancel_job, repository.pause_job, repository.resume_job]))
    def user(self, verb: Callable[..., None]) -> None:
        self.act(verb)

    @rule(verb=st.sampled_from([repository.check_job_first, repository.unblock_job]))
    def check(self, verb: Callable[..., None]) -> None:
        self.act(verb, OWNER)

    @rule()
    def place_fails(self) -> None:
        self.act(repository.block_job, OWNER, "artifact disk full")

    @rule()
    def retry(self) -> None:
        """Reopen the trials without a result, of a failed job only; leading it again is the next dispatcher's doing."""
        with self.database.read() as session:
            failed = session.get_one(Job, self.job_id).state == "failed"
        self.act(repository.retry_job)
        if failed:
            self.ended = {key: value for key, value in self.ended.items() if "'succeeded'" in value}
            with self.database.write() as session:
                assert leases.acquire_lease(session, self.job_id, OWNER, 600)

    @rule(verb=st.sampled_from([repository.start_job, repository.finish_cancel]))
    def dispatcher(self, verb: Callable[..., None]) -> None:
        self.act(verb, OWNER)

    @rule()
    def restart(self) -> None:
        self.act(populations.orphan_populations, OWNER, "its dispatcher went away")

    @rule()
    def job_fails(self) -> None:
        self.act(repository.fail_job, OWNER, "a bug")

    @rule(group=st.integers(0, 1))
    def lease(self, group: int) -> None:
        with self.database.read() as session:
            status = rounds.job_status(session, self.job_id)
        if group in status.in_state("pending"):
            self.act(populations.lease_populations, OWNER, 0, [group])

    @rule(group=st.integers(0, 1), attempt=st.integers(1, 4), what=st.integers(0, 4))
    def report(self, group: int, attempt: int, what: int) -> None:
        key = PopulationKey(self.job_id, 0, group, attempt)
        results = tuple(TrialResult(0, k, failed=k == 1, reason="no number") for k in self.groups[group])
        events: list[Event] = [
            PopulationStarted(key, "host:1"),
            PopulationFinished(key, results),
            PopulationLost(key, "the node died", True),
            PopulationLost(key, "no such data", False),
            PopulationHeld(key, "artifact disk full"),
        ]
        self.act(populations.record_events, OWNER, [events[what]], 2)

    @invariant()
    def what_has_ended_never_changes(self) -> None:
        with self.database.read() as session:
            trials = session.scalars(select(Trial)).all()
            job = session.get_one(Job, self.job_id)
        now = {trial.id: repr((trial.state, trial.attempt, trial.reason)) for trial in trials}
        now[job.id] = repr((job.state, job.reason))
        for key, before in self.ended.items():
            assert now[key] == before
        ended = {trial.id for trial in trials if trial.state in TRIAL_ENDED}
        self.ended |= {key: now[key] for key in ended}
        if job.state in JOB_ENDED:
            self.ended[job.id] = now[job.id]
            assert len(ended) == len(trials) or job.state == "completed"
        assert job.n_trials_done == sum(trial.state in ("succeeded", "failed") for trial in trials)

    @invariant()
    def populations_move_as_one_and_history_is_a_chain(self) -> None:
        with self.database.read() as session:
            trials = session.scalars(select(Trial)).all()
            rows = session.scalars(select(Transition).order_by(Transition.id)).all()
            open_attempts = set(session.scalars(select(Attempt.trial_id).where(Attempt.outcome == "")))
        for ks in self.groups:
            members = [trial for trial in trials if trial.k in ks]
            assert len({(trial.state in TRIAL_ENDED or trial.state, trial.attempt) for trial in members}) == 1
        assert open_attempts == {trial.id for trial in trials if trial.state in TRIAL_IN_FLIGHT}
        last: dict[str | None, str | None] = {}
        for row in rows:
            assert row.old == last.get(row.trial_id)
            if row.old is not None:
                table = JOB_TRANSITIONS if row.trial_id is None else TRIAL_TRANSITIONS
                assert row.new in table[row.old]
            last[row.trial_id] = row.new
        assert {trial.id: trial.state for trial in trials}.items() <= last.items()


def loop_groups(spec: Any, round_: Any) -> list[list[int]]:
    return [[trial.k for trial in population.trials] for population in loop.populations(spec, round_)]


def test_no_sequence_of_verbs_and_events_breaks_the_tables(empty_database: Path, quick_search: Any) -> None:
    class Machine(JobUnderVerbs):
        template = empty_database
        spec = quick_search.spec
        round_ = quick_search.history[0].round

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
