"""The contract of service/store on any database: leases, fencing, idempotence, unique rules, transitions, cascade."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from s2e.door import parse_job
from s2e.words import (
    EpochMetrics,
    FinalAccuracies,
    FinalAccuracy,
    JobSpec,
    Point,
    Round,
    RoundRecord,
    SearchState,
    TrialResult,
    TrialSpec,
    replace,
)
from service.errors import Conflict, IllegalTransition, NotFound
from service.store import leases, populations, queries, repository, rounds
from service.store.changes import LeaseLostError, utc_now
from service.store.engine import Database
from service.store.models import (
    Attempt,
    Base,
    Epoch,
    Job,
    JobEvent,
    SearchRound,
    Transition,
    Trial,
    WorkerRow,
)
from workers.backend import (
    OUT_OF_MEMORY,
    EpochReported,
    Event,
    PopulationFinished,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
    WorkerInfo,
)

ME, OTHER = "me:1", "other:2"
SPEC = parse_job({"train": {"n_epochs": 3}, "search": {"n_rounds": 1, "n_trials": 4}, "plan": {"population": 2}})
# Numbers that a careless way to the database changes: whole, huge, tiny, the smallest normal one, minus zero.
HARD = (1.0, 1e22, 1e-300, 2.2250738585072014e-308, 0.1 + 0.2, -0.0)


def round_of(n_trials: int) -> Round:
    trials = tuple(
        TrialSpec(0, k, "search", 0, (1.0, 0.7, 0.1 + 0.2), 2**63 - 1, 7, 9, Point((*HARD, float(k))))
        for k in range(n_trials)
    )
    return Round(0, "search", trials, SearchState(0, HARD, {"b": list(HARD), "a": {"n": 3}}))


def submit(database: Database, spec: JobSpec = SPEC) -> str:
    with database.write() as session:
        return repository.create_job(session, spec)[0]


def lead(database: Database) -> str:
    """A running job with one round of four trials in two populations, led by ME."""
    job_id = submit(database)
    with database.write() as session:
        assert leases.acquire_lease(session, job_id, ME, 60)
        repository.start_job(session, job_id, ME)
        rounds.insert_round(session, job_id, ME, SPEC, round_of(4))
    return job_id


def lease_groups(database: Database, job_id: str, groups: Sequence[int] = (0, 1)) -> list[PopulationKey]:
    with database.write() as session:
        return populations.lease_populations(session, job_id, ME, 0, groups)


def record(database: Database, job_id: str, *events: Event, max_attempts: int = 3) -> None:
    with database.write() as session:
        populations.record_events(session, job_id, ME, events, max_attempts)


def epoch_row(k: int, epoch: int, **numbers: Any) -> EpochMetrics:
    told = {"loss": None, "kept": 0.9, "label_precision": 0.5, "label_recall": 0.5, "test_accuracy": 0.7}
    return EpochMetrics(k=k, epoch=epoch, keep_rate=0.9, **told | numbers)


def epochs(key: PopulationKey, epoch: int, ks: Sequence[int] = (0, 2)) -> EpochReported:
    return EpochReported(key, tuple(epoch_row(k, epoch, validation_accuracy=0.8 + k / 100) for k in ks))


def finished(key: PopulationKey, ks: Sequence[int] = (0, 2), failed: Sequence[int] = ()) -> PopulationFinished:
    numbers = {"objective": 0.2, "validation_accuracy": 0.8, "test_accuracy": 0.7, "label_precision": 0.6}
    good = [TrialResult(0, k, model=f"model-{k}", **numbers) for k in ks if k not in failed]  # type: ignore[arg-type]
    bad = [TrialResult(0, k, True, "the loss is not a number") for k in failed]
    return PopulationFinished(key, tuple(good + bad))


def dump(database: Database) -> dict[str, list[Any]]:
    """Every row of every table."""
    with database.read() as session:
        return {
            name: sorted(map(repr, session.execute(table.select()).all()))
            for name, table in Base.metadata.tables.items()
        }


def numbers_in(row: Epoch, *names: str) -> tuple[float | None, ...]:
    """Columns that follow from the fields of EpochMetrics."""
    return tuple(getattr(row, name) for name in names)


def states(database: Database, job_id: str) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Trial.state).where(Trial.job_id == job_id).order_by(Trial.k)))


def in_threads(n: int, action: Callable[[int], Any]) -> list[Any]:
    """Run ``action`` in ``n`` threads that set off together."""
    barrier = threading.Barrier(n)

    def run(i: int) -> Any:
        barrier.wait(10)
        return action(i)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(run, range(n)))


def copy_of(row: Any, **changes: Any) -> dict[str, Any]:
    columns = inspect(type(row)).column_attrs
    values = {column.key: getattr(row, column.key) for column in columns}
    if isinstance(values.get("id"), int):
        del values["id"]
    return {**values, **changes}


class StoreContract:
    """A subclass gives the fixture ``database``: an empty database at the newest migration."""

    @pytest.fixture
    def database(self) -> Iterator[Database]:
        """The database under test."""
        raise NotImplementedError(f"{type(self).__name__} gives no fixture 'database'")

    def test_every_number_of_an_epoch_and_the_final_figures_come_back_exactly(self, database: Database) -> None:
        """An epoch is stored as it was reported, a number that is none as null; the finals as they were."""
        job_id = lead(database)
        (key,) = lease_groups(database, job_id, [0])
        numbers = {
            "validation_ensemble": 0.1 + 0.2, "test_ensemble": 1e-300, "train_accuracy": 0.5, "clean_correct": 1.0,
            "wrong_correct": math.nan, "wrong_memorised": None,
        }  # fmt: skip
        networks = ((0.1 + 0.2, 1 / 3, None), (math.inf, 0.0, 2 / 3))
        row = epoch_row(0, 0, networks=networks, **numbers)
        final = FinalAccuracies(FinalAccuracy(0.1 + 0.2, 1 / 3, 2 / 3, 7), None, 5e-324)
        bare = epoch_row(2, 0)
        ended = [replace(result, final=final if result.k == 0 else None) for result in finished(key).results]
        record(database, job_id, EpochReported(key, (row, bare)), PopulationFinished(key, tuple(ended)))
        with database.read() as session:
            stored, plain = session.scalars(
                select(Epoch).join(Trial, Trial.id == Epoch.trial_id).order_by(Trial.k)
            ).all()
            history = rounds.load_history(session, job_id)
        assert {name: getattr(stored, name) for name in numbers} == numbers | {"wrong_correct": None}
        assert stored.networks == [[0.1 + 0.2, 1 / 3, None], [None, 0.0, 2 / 3]]
        assert (plain.networks, *numbers_in(plain, "clean_correct")) == (None, None)
        assert [result.final for result in history[0].results] == [final, None, None, None]

    # --- submission ---------------------------------------------------------------------------------------------------

    def test_same_key_and_body_give_the_same_job_and_another_body_is_refused(self, database: Database) -> None:
        with database.write() as session:
            first = repository.create_job(session, SPEC, "key", "hash")
        with database.write() as session:
            assert repository.create_job(session, SPEC, "key", "hash") == (first[0], False)
        with pytest.raises(Conflict), database.write() as session:
            repository.create_job(session, SPEC, "key", "other")
        assert first[1]
        assert len(dump(database)["jobs"]) == 1

    def test_many_requests_with_one_key_at_once_make_one_job(self, database: Database) -> None:
        def create(_: int) -> tuple[str, bool]:
            with database.write() as session:
                return repository.create_job(session, SPEC, "key", "hash")

        answers = in_threads(6, create)
        assert len({job_id for job_id, _ in answers}) == 1
        assert sum(created for _, created in answers) == 1
        assert len(dump(database)["jobs"]) == 1

    def test_ids_sort_by_time(self, database: Database) -> None:
        ids = [submit(database) for _ in range(20)]
        assert ids == sorted(ids)
        assert len(set(ids)) == 20

    def test_unknown_job(self, database: Database) -> None:
        for verb in (repository.cancel_job, repository.pause_job, repository.resume_job):
            with pytest.raises(NotFound), database.write() as session:
                verb(session, "no-such-job")

    # --- leases -------------------------------------------------------------------------------------------------------

    def test_one_of_many_dispatchers_gets_each_lease(self, database: Database) -> None:
        job_ids = [submit(database) for _ in range(5)]

        def acquire(i: int) -> list[str]:
            got = []
            for job_id in job_ids:
                with database.write() as session:
                    if leases.acquire_lease(session, job_id, f"dispatcher:{i}", 60):
                        got.append(job_id)
            return got

        assert sorted(job_id for got in in_threads(6, acquire) for job_id in got) == job_ids

    def test_a_lease_is_kept_renewed_released_and_runs_out(self, database: Database) -> None:
        job_id = submit(database)

        def acquire(owner: str, lease_s: float = 60) -> bool:
            with database.write() as session:
                return leases.acquire_lease(session, job_id, owner, lease_s)

        assert acquire(ME)
        assert acquire(ME)
        assert not acquire(OTHER)
        with database.write() as session:
            assert leases.renew_leases(session, OTHER, [job_id], 60) == set()
            leases.release_leases(session, OTHER, [job_id])
            assert leases.claimable_jobs(session, 9) == []
            assert leases.renew_leases(session, ME, [job_id], 60) == {job_id}
            leases.release_leases(session, ME, [job_id])
            assert leases.claimable_jobs(session, 9) == [job_id]
        assert acquire(OTHER, lease_s=-1)
        assert acquire(ME)

    def test_only_jobs_that_need_a_dispatcher_can_be_claimed(self, database: Database) -> None:
        idle, cancelled, training = submit(database), submit(database), lead(database)
        lease_groups(database, training)
        with database.write() as session:
            repository.pause_job(session, idle)
            repository.cancel_job(session, cancelled)
            repository.pause_job(session, training)
            leases.release_leases(session, ME, [training])
        with database.read() as session:
            assert leases.claimable_jobs(session, 9) == [training]
        with database.write() as session:
            assert not leases.acquire_lease(session, cancelled, ME, 60)
            repository.resume_job(session, idle)
        with database.read() as session:
            assert leases.claimable_jobs(session, 9) == [idle, training]

    def test_who_lost_the_lease_can_write_nothing(self, database: Database) -> None:
        job_id = lead(database)
        (key,) = lease_groups(database, job_id, [0])
        with database.write() as session:
            session.execute(update(Job).values(lease_until=utc_now() - timedelta(seconds=1)))
            assert leases.acquire_lease(session, job_id, OTHER, 60)
        before = dump(database)
        attempts: list[Callable[[Any], Any]] = [
            lambda session: populations.record_events(session, job_id, ME, [finished(key)], 3),
            lambda session: populations.lease_populations(session, job_id, ME, 0, [1]),
            lambda session: populations.orphan_populations(session, job_id, ME, "gone"),
            lambda session: rounds.insert_round(session, job_id, ME, SPEC, round_of(4)),
            lambda session: repository.fail_job(session, job_id, ME, "reason"),
            lambda session: repository.finish_cancel(session, job_id, ME),
        ]
        for attempt in attempts:
            with pytest.raises(LeaseLostError), database.write() as session:
                attempt(session)
        assert dump(database) == before

    # --- rounds -------------------------------------------------------------------------------------------------------

    def test_a_round_comes_back_exactly(self, database: Database) -> None:
        job_id = lead(database)
        with database.read() as session:
            loaded = rounds.load_round(session, job_id, 0)
            assert rounds.load_spec(session, job_id) == SPEC
        assert loaded == round_of(4)
        assert repr(loaded) == repr(round_of(4))  # equality does not tell -0.0 from 0 and 1 from 1.0

    def test_history_holds_what_was_recorded(self, database: Database) -> None:
        job_id = lead(database)
        a, b = lease_groups(database, job_id)
        record(database, job_id, finished(a, failed=[2]), finished(b, ks=[1, 3]))
        with database.read() as session:
            (loaded,) = rounds.load_history(session, job_id)
            assert rounds.load_history(session, job_id, first=1) == []
        results = sorted((*finished(a, failed=[2]).results, *finished(b, ks=[1, 3]).results), key=lambda r: r.k)
        assert loaded == RoundRecord(round_of(4), tuple(results))

    def test_status_shows_each_population(self, database: Database) -> None:
        job_id = lead(database)
        a, _ = lease_groups(database, job_id)
        record(database, job_id, PopulationStarted(a, "host:1"))
        with database.read() as session:
            assert [g.state for g in rounds.job_status(session, job_id).groups] == ["running", "leased"]
        record(database, job_id, finished(a, failed=[2]))
        with database.read() as session:
            status = rounds.job_status(session, job_id)
        assert (status.state, status.n_rounds, status.in_state("ended")) == ("running", 1, (0,))

    # --- populations --------------------------------------------------------------------------------------------------

    def test_a_population_from_lease_to_result(self, database: Database) -> None:
        job_id = lead(database)
        (key,) = lease_groups(database, job_id, [0])
        assert key == PopulationKey(job_id, 0, 0, 1)
        record(database, job_id, PopulationStarted(key, "host:1"), epochs(key, 0), epochs(key, 1))
        assert states(database, job_id) == ["running", "pending", "running", "pending"]
        record(database, job_id, epochs(key, 2), finished(key, failed=[2]))
        assert states(database, job_id) == ["succeeded", "pending", "failed", "pending"]
        with database.read() as session:
            good, bad = session.scalars(select(Trial).where(Trial.group == 0).order_by(Trial.k)).all()
            outcomes = session.execute(
                select(Attempt.outcome, Attempt.worker, Attempt.reason).order_by(Attempt.k)
            ).all()
            job = session.get_one(Job, job_id)
            n_epochs = session.scalar(select(func.count()).select_from(Epoch))
        assert (good.objective, good.validation_accuracy, good.model, good.reason) == (0.2, 0.8, "model-0", "")
        assert (bad.objective, bad.model, bad.reason) == (None, None, "the loss is not a number")
        assert [tuple(row) for row in outcomes] == [
            ("succeeded", "host:1", ""),
            ("failed", "host:1", "the loss is not a number"),
        ]
        assert (n_epochs, job.n_trials_done) == (6, 2)
        assert good.started_at is not None
        assert good.finished_at is not None
        assert good.started_at.tzinfo is not None
        assert job.created_at <= good.started_at <= good.finished_at

    def test_events_told_twice_change_nothing(self, database: Database) -> None:
        job_id = lead(database)
        (key,) = lease_groups(database, job_id, [0])
        events: list[Event] = [
            PopulationStarted(key, "host:1"),
            epochs(key, 0),
            epochs(key, 1),
            finished(key, failed=[2]),
        ]
        for i in range(len(events)):
            record(database, job_id, *events[: i + 1])
            before = dump(database)
            record(database, job_id, *events[: i + 1])
            assert dump(database) == before

    def test_an_old_attempt_changes_nothing_but_is_counted(self, database: Database) -> None:
        job_id = lead(database)
        (old,) = lease_groups(database, job_id, [0])
        record(database, job_id, PopulationStarted(old, "host:1"), PopulationLost(old, "the node died", True))
        (new,) = lease_groups(database, job_id, [0])
        assert new.attempt == 2
        before = dump(database)
        late: list[Event] = [PopulationStarted(old, "host:1"), epochs(old, 0), epochs(old, 1, ks=[2]), finished(old)]
        record(database, job_id, *late)
        record(database, job_id, PopulationLost(old, "the node died again", True))
        after = dump(database)
        assert {name for name in after if after[name] != before[name]} == {"attempts"}
        with database.read() as session:
            counts = session.execute(select(Attempt.k, Attempt.attempt, Attempt.n_stale)).all()
        assert sorted(tuple(row) for row in counts) == [(0, 1, 4), (0, 2, 0), (2, 1, 5), (2, 2, 0)]

    def test_a_place_that_fails_ends_no_trial_however_often(self, database: Database) -> None:
        job_id = lead(database)
        for attempt in range(1, 6):
            (key,) = lease_groups(database, job_id, [0])
            assert key.attempt == attempt
            record(database, job_id, PopulationLost(key, "the node died", True, "trainer lost"), max_attempts=2)
        assert states(database, job_id) == ["pending"] * 4
        with database.read() as session:
            assert session.get_one(Job, job_id).n_trials_done == 0

    def test_out_of_memory_halves_what_waits_and_all_that_follows(self, database: Database) -> None:
        """Of the populations (0, 2) and (1, 3) the first does not fit, while the second trains."""
        job_id = lead(database)
        first, second = lease_groups(database, job_id)
        record(database, job_id, PopulationStarted(second, "host:1"))
        record(database, job_id, PopulationLost(first, "CUDA out of memory", True, OUT_OF_MEMORY))
        with database.read() as session:
            assert rounds.load_groups(session, job_id, 0) == {0: (0,), 1: (1, 3), 2: (2,)}
            assert rounds.most_in_population(session, job_id) == 1
        record(database, job_id, epochs(second, 0, ks=(1, 3)), finished(second, ks=(1, 3)))
        keys = lease_groups(database, job_id, [0, 2])
        assert [(key.group, key.attempt) for key in keys] == [(0, 2), (2, 2)]
        record(database, job_id, *(finished(key, ks=(key.group,)) for key in keys))
        assert states(database, job_id) == ["succeeded"] * 4
        with database.write() as session:
            following = replace(
                round_of(4), index=1, trials=tuple(replace(trial, round=1) for trial in round_of(4).trials)
            )
            rounds.insert_round(session, job_id, ME, SPEC, following)
        with database.read() as session:
            assert rounds.load_groups(session, job_id, 1) == {k: (k,) for k in range(4)}

    def test_a_blocked_job_goes_on_with_the_first_epoch(self, database: Database) -> None:
        job_id = lead(database)
        with database.write() as session:
            repository.block_job(session, job_id, ME, "artifact disk full\x00")
            repository.block_job(session, job_id, ME, "artifact disk full")
        with database.read() as session:
            assert (session.get_one(Job, job_id).state, session.get_one(Job, job_id).reason) == (
                "blocked",
                "artifact disk full",
            )
            assert leases.claimable_jobs(session, 9) == []
        (key,) = lease_groups(database, job_id, [0])
        record(database, job_id, PopulationStarted(key, "host:1"))
        with database.read() as session:
            assert session.get_one(Job, job_id).state == "blocked"
        record(database, job_id, epochs(key, 0))
        with database.read() as session:
            assert (session.get_one(Job, job_id).state, session.get_one(Job, job_id).reason) == ("running", "")

    def test_restarts_of_the_dispatcher_spend_no_attempt(self, database: Database) -> None:
        job_id = lead(database)
        for _ in range(4):
            lease_groups(database, job_id)
            with database.write() as session:
                assert populations.orphan_populations(session, job_id, ME, "its dispatcher went away") == 4
        (key,) = lease_groups(database, job_id, [0])
        record(database, job_id, PopulationLost(key, "the node died", True), max_attempts=2)
        assert key.attempt == 5
        assert states(database, job_id)[0] == "pending"

    def test_a_population_that_cannot_be_retried_fails_at_once(self, database: Database) -> None:
        job_id = lead(database)
        (key,) = lease_groups(database, job_id, [0])
        record(database, job_id, PopulationLost(key, "no such data set\x00", False))
        assert states(database, job_id) == ["failed", "pending", "failed", "pending"]
        with database.read() as session:
            assert set(session.scalars(select(Attempt.reason))) == {"no such data set"}

    def test_a_trial_without_a_result_is_failed_with_a_reason(self, database: Database) -> None:
        job_id = lead(database)
        (key,) = lease_groups(database, job_id, [0])
        record(database, job_id, finished(key, ks=[0]))
        assert states(database, job_id)[::2] == ["succeeded", "failed"]

    def test_numbers_that_are_none_become_null(self, database: Database) -> None:
        job_id = lead(database)
        (key,) = lease_groups(database, job_id, [0])
        row = epoch_row(0, 0, loss=float("nan"), label_precision=None, validation_accuracy=float("inf"))
        record(database, job_id, EpochReported(key, (row,)))
        with database.read() as session:
            stored = session.scalars(select(Epoch)).one()
            (told,) = [data for _, kind, data in queries.events_after(session, job_id, 0) if kind == "epochs"]
        assert numbers_in(stored, "loss", "validation_accuracy", "test_accuracy") == (None, None, 0.7)
        assert told["trials"] == [{"id": stored.trial_id, "validation_accuracy": None, "label_precision": None}]

    def test_an_event_of_epochs_refers_to_their_numbers_and_is_sent_with_them(self, database: Database) -> None:
        """Each number is stored once; the event of an earlier release, which has a copy of them, is sent as it is."""
        job_id = lead(database)
        a, b = lease_groups(database, job_id)
        both = EpochReported(a, (epoch_row(0, 0, validation_accuracy=0.25), epoch_row(0, 1, validation_accuracy=0.5)))
        old = {"round": 0, "group": 0, "epoch": 7, "n_epochs": 9, "trials": [{"id": "x", "validation_accuracy": 1.0}]}
        record(database, job_id, both, epochs(b, 0, ks=[1, 3]))
        with database.write() as session:
            session.execute(insert(JobEvent).values(job_id=job_id, kind="epochs", data=old, at=utc_now()))
        with database.read() as session:
            stored = list(session.scalars(select(JobEvent.data).where(JobEvent.kind == "epochs").order_by(JobEvent.id)))
            sent = [data for _, kind, data in queries.events_after(session, job_id, 0) if kind == "epochs"]
            ids = dict(session.execute(select(Trial.k, Trial.id)).all())
        assert ["trials" in data for data in stored] == [False, False, True]  # epochs 0 and 1 of a are one row
        assert [(data["group"], data["epoch"], data["n_epochs"]) for data in sent[:3]] == [
            (0, 0, 3),
            (0, 1, 3),
            (1, 0, 3),
        ]
        assert [[(t["id"], t["validation_accuracy"]) for t in data["trials"]] for data in sent[:3]] == [
            [(ids[0], 0.25)],
            [(ids[0], 0.5)],
            [(ids[1], 0.8 + 1 / 100), (ids[3], 0.8 + 3 / 100)],
        ]
        assert sent[3] == old

    def test_epochs_of_one_poll_are_one_row_and_a_reader_may_resume_between_any_two(self, database: Database) -> None:
        job_id, other = lead(database), lead(database)
        a, b = lease_groups(database, job_id)
        (theirs,) = lease_groups(database, other, [0])
        record(database, job_id, epochs(a, 0), epochs(b, 0, ks=[1, 3]), epochs(a, 1), epochs(a, 2))
        record(database, other, epochs(theirs, 0), epochs(theirs, 1))
        record(database, job_id, epochs(b, 1, ks=[1, 3]), epochs(b, 2, ks=[3]), finished(a))
        with database.read() as session:
            every = queries.events_after(session, job_id, 0)
            ids = [i for i, _, _ in every]
            told = [(data["group"], data["epoch"]) for _, kind, data in every if kind == "epochs"]
            n_rows = len(session.scalars(select(JobEvent).where(JobEvent.job_id == job_id)).all())
            for i in ids:
                assert queries.events_after(session, job_id, i) == every[ids.index(i) + 1 :]
            assert queries.events_after(session, job_id, 0, 1)[0] == every[0]
            assert queries.last_events(session, [job_id])[job_id] == ids[-1]
        assert told == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
        assert ids == sorted(set(ids))
        assert n_rows == len(every) - 2

    def test_nothing_is_leased_once_a_user_has_paused(self, database: Database) -> None:
        job_id = lead(database)
        with database.write() as session:
            repository.pause_job(session, job_id)
        assert lease_groups(database, job_id) == []
        assert states(database, job_id) == ["pending"] * 4

    # --- verbs, transitions, events -----------------------------------------------------------------------------------

    def test_a_cancelled_job_takes_its_open_trials_along(self, database: Database) -> None:
        job_id = lead(database)
        a, _ = lease_groups(database, job_id)
        record(database, job_id, finished(a))
        with database.write() as session:
            repository.cancel_job(session, job_id)
            assert session.get_one(Job, job_id).state == "cancelling"
        with database.write() as session:
            repository.finish_cancel(session, job_id, ME)
        assert states(database, job_id) == ["succeeded", "cancelled", "succeeded", "cancelled"]
        with database.read() as session:
            job = session.get_one(Job, job_id)
            assert (job.state, job.lease_owner, job.n_trials_done) == ("cancelled", None, 2)
            assert set(session.scalars(select(Attempt.outcome))) == {"succeeded", "cancelled"}

    @pytest.mark.parametrize("in_flight", [False, True])
    def test_cancelling_a_paused_job_waits_only_for_what_trains(self, database: Database, in_flight: bool) -> None:
        job_id = lead(database)
        if in_flight:
            lease_groups(database, job_id)
        with database.write() as session:
            repository.pause_job(session, job_id)
            repository.cancel_job(session, job_id)
            assert session.get_one(Job, job_id).state == ("cancelling" if in_flight else "cancelled")
        if not in_flight:
            assert states(database, job_id) == ["cancelled"] * 4

    def test_verbs_that_do_not_fit_are_refused_and_leave_nothing(self, database: Database) -> None:
        job_id = submit(database)
        with pytest.raises(IllegalTransition), database.write() as session:
            repository.resume_job(session, job_id)
        with database.write() as session:
            repository.cancel_job(session, job_id)
        before = dump(database)
        for verb in (repository.cancel_job, repository.pause_job, repository.resume_job):
            with pytest.raises(IllegalTransition), database.write() as session:
                verb(session, job_id)
        assert dump(database) == before

    def test_every_change_leaves_a_transition_and_an_event(self, database: Database) -> None:
        job_id = lead(database)
        (key,) = lease_groups(database, job_id, [0])
        record(database, job_id, PopulationStarted(key, "host:1"), PopulationLost(key, "the node died", True))
        (key,) = lease_groups(database, job_id, [0])
        record(database, job_id, epochs(key, 0), finished(key))
        with database.write() as session:
            repository.fail_job(session, job_id, ME, "the disk is full")
        with database.read() as session:
            trial_id = session.scalars(select(Trial.id).where(Trial.k == 0)).one()
            of_trial = session.execute(
                select(Transition.old, Transition.new).where(Transition.trial_id == trial_id).order_by(Transition.id)
            ).all()
            of_job = session.execute(
                select(Transition.old, Transition.new, Transition.reason)
                .where(Transition.trial_id.is_(None))
                .order_by(Transition.id)
            ).all()
            events = [row[1:] for row in queries.events_after(session, job_id, 0)]
        chain = ["pending", "leased", "running", "lost", "pending", "leased", "succeeded"]
        assert [tuple(row) for row in of_trial] == list(zip([None, *chain], chain, strict=False))
        assert [tuple(row) for row in of_job] == [
            (None, "queued", ""),
            ("queued", "running", ""),
            ("running", "failed", "the disk is full"),
        ]
        assert [data["state"] for kind, data in events if kind == "trial" and data["id"] == trial_id] == chain[1:]
        assert [kind for kind, _ in events if kind != "trial"] == ["job", "job", "round", "epochs", "job"]
        assert events[-1][1] == {"state": "failed", "reason": "the disk is full"}
        (told,) = [data for kind, data in events if kind == "epochs"]
        assert {name: told[name] for name in ("round", "group", "epoch", "n_epochs")} == {
            "round": 0,
            "group": 0,
            "epoch": 0,
            "n_epochs": 3,
        }
        assert told["trials"][0] == {"id": trial_id, "validation_accuracy": 0.8, "label_precision": 0.5}

    @pytest.mark.parametrize(
        ("table", "changes"), [(SearchRound, {}), (Trial, {"id": "new"}), (Attempt, {}), (Epoch, {})]
    )
    def test_rows_are_unique(self, database: Database, table: type[Base], changes: dict[str, Any]) -> None:
        job_id = lead(database)
        (key,) = lease_groups(database, job_id, [0])
        record(database, job_id, epochs(key, 0))
        with database.read() as session:
            row = session.scalars(select(table)).first()
        with pytest.raises(IntegrityError), database.write() as session:
            session.execute(insert(table).values(**copy_of(row, **changes)))

    @pytest.mark.parametrize("table", [Job, Trial])
    def test_the_database_knows_no_other_states(self, database: Database, table: type[Base]) -> None:
        lead(database)
        with pytest.raises(IntegrityError), database.write() as session:
            session.execute(update(table).values(state="dreaming"))

    def test_a_job_takes_all_its_rows_along_and_no_other(self, database: Database) -> None:
        kept = submit(database)
        before = dump(database)
        job_id = lead(database)
        (key,) = lease_groups(database, job_id, [0])
        record(database, job_id, PopulationStarted(key, "host:1"), epochs(key, 0), finished(key))
        with database.write() as session:
            session.execute(delete(Job).where(Job.id == job_id))
        assert dump(database) == before
        assert kept in before["jobs"][0]

    def test_a_reading_session_cannot_write(self, database: Database) -> None:
        submit(database)
        with pytest.raises(DBAPIError), database.read() as session:
            session.execute(update(Job).values(name="changed"))
        with database.read() as session:
            assert session.scalars(select(Job.name)).one() == ""

    def test_a_failed_transaction_leaves_nothing(self, database: Database) -> None:
        def create_and_fail() -> None:
            with database.write() as session:
                repository.create_job(session, SPEC, "key", "hash")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            create_and_fail()
        assert not any(dump(database).values())

    def test_readers_and_writers_together_meet_no_lock_error(self, database: Database) -> None:
        """A dispatcher, users and readers on the same job at once; every event number is given once and in order."""
        job_id = lead(database)
        (key,) = lease_groups(database, job_id, [0])

        def act(i: int) -> None:
            for epoch in range(8):
                if i == 0:
                    record(database, job_id, epochs(key, epoch))
                elif i < 3:
                    submit(database)
                else:
                    with database.read() as session:
                        rounds.job_status(session, job_id)
                        session.execute(text("SELECT count(*) FROM epochs"))

        in_threads(5, act)
        counts = {name: len(rows) for name, rows in dump(database).items()}
        assert (counts["epochs"], counts["jobs"]) == (16, 17)

    def test_a_quarantine_is_written_by_who_knows_of_it_and_left_alone_by_others(self, database: Database) -> None:
        worker, until = WorkerInfo("b", 2, 0, 1), utc_now() + timedelta(minutes=1)

        def written(quarantined: dict[str, leases.Quarantine] | None) -> tuple[str, bool]:
            with database.write() as session:
                leases.record_workers(session, [worker], quarantined)
            with database.read() as session:
                row = session.get_one(WorkerRow, "b")
                return row.trouble, row.quarantined_until == until

        assert written(None) == ("", False)
        assert written({"b": leases.Quarantine("trainer lost: killed", until)}) == ("trainer lost: killed", True)
        assert written(None) == ("trainer lost: killed", True)
        assert written({}) == ("", False)

    def test_circuits_are_written_for_their_place_and_those_of_all_places_for_each(self, database: Database) -> None:
        now = utc_now()
        ours = leases.Circuit("b", "device failed", "gone", "a working cuda", now, None)
        alls = leases.Circuit("", "data root missing", "no such folder", "the data root", now, now)
        workers = [WorkerInfo(name, 2, 0, 1) for name in ("a", "b")]

        def told() -> dict[str, list[tuple[str, bool, str | None]]]:
            with database.read() as session:
                return {
                    row.name: [(one["cause"], one["everywhere"], one["next_try"]) for one in row.circuits]
                    for row in session.scalars(select(WorkerRow))
                }

        for leads in (True, False):  # who leads nothing leaves them as they are
            with database.write() as session:
                quarantined: dict[str, leases.Quarantine] | None = {} if leads else None
                leases.record_workers(session, workers, quarantined, [ours, alls] if leads else [])
            everywhere = ("data root missing", True, now.isoformat())
            assert told() == {"a": [everywhere], "b": [("device failed", False, None), everywhere]}

    def test_dispatchers_that_lead_at_once_leave_each_others_circuits(self, database: Database) -> None:
        now = utc_now()
        until = now + timedelta(hours=1)
        shut = leases.Circuit("a", "trainer lost", "killed", "", now, until)
        worker = WorkerInfo("a", 2, 0, 1)

        def written(by: str, *circuits: leases.Circuit) -> tuple[list[str], str]:
            with database.write() as session:
                quarantined = {one.place: leases.Quarantine(one.reason, until) for one in circuits}
                leases.record_workers(session, [worker], quarantined, circuits, by)
            with database.read() as session:
                row = session.get_one(WorkerRow, "a")
                return [told["cause"] for told in leases.circuits_of(row)], row.trouble

        with database.write() as session:
            for name in ("first", "second"):
                leases.record_dispatcher(session, name)
        assert written("first", shut) == (["trainer lost"], "killed")
        assert written("second") == (["trainer lost"], "killed")
        assert written("second", shut) == (["trainer lost"], "killed")
        assert written("first") == (["trainer lost"], "killed")  # the second one's
        with database.write() as session:
            leases.forget_dispatcher(session, "second")
        assert written("first") == ([], "")

    def test_workers_are_seen_and_forgotten(self, database: Database) -> None:
        with database.write() as session:
            leases.record_workers(session, [WorkerInfo("b", 2, 0, 1), WorkerInfo("a", 2, 1, 0)])
            session.execute(
                update(WorkerRow).where(WorkerRow.name == "a").values(seen_at=utc_now() - timedelta(hours=1))
            )
        with database.write() as session:
            leases.record_workers(session, [WorkerInfo("b", 2, 0, 0)])
        with database.read() as session:
            assert [(row.name, row.busy) for row in session.scalars(select(WorkerRow))] == [("b", 0)]
