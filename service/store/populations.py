"""Populations: leased to the backend, reported on, ended. The attempt number fences off whatever comes too late.

All trials of a population move together and end in one transaction, so after a crash a population is either done or
trained again whole. Functions are parts of the caller's transaction; ``owner`` must hold the job's lease.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.orm import Session, defer

from s2e.words import EpochMetrics, TrialResult, to_json
from s2e.words.states import TRIAL_IN_FLIGHT
from service.store.changes import clean, lock_job, move_job, move_trials, utc_now
from service.store.many import insert_many
from service.store.models import EPOCH_NUMBERS, TRIAL_NUMBERS, Attempt, Base, Epoch, Job, Trial
from service.store.quick import Quick
from service.store.told import insert_events, packed
from workers.backend import (
    OUT_OF_MEMORY,
    PAUSED,
    EpochReported,
    Event,
    PopulationFinished,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
)

GIVEN_UP = ("lost", "orphaned", "cancelled", PAUSED)
"""Outcomes after which an attempt's events are late. ``paused``: a user wanted it. ``orphaned``: its dispatcher went
away; neither is the trial's fault, so they do not count towards the most attempts of a trial."""
_EPOCHS = Base.metadata.tables[Epoch.__tablename__]
"""The table and not the class: rows by the thousand need no mapper."""
_J, _T = Base.metadata.tables[Job.__tablename__], Base.metadata.tables[Trial.__tablename__]
_LOCK = Quick(
    lambda _: select(_J.c.state, _J.c.lease_owner).where(_J.c.id == bindparam("job")).with_for_update(key_share=True)
)
_MEMBERS = Quick(
    lambda among: (
        select(_T.c.id, _T.c.round, _T.c.k, _T.c.population_group, _T.c.attempt, _T.c.state)
        .where(_T.c.job_id == bindparam("job"), among(_T.c.round, "rounds"), among(_T.c.population_group, "groups"))
        .order_by(_T.c.k)
    )
)
_KNOWN = Quick(
    lambda among: select(_EPOCHS.c.trial_id, _EPOCHS.c.attempt, _EPOCHS.c.epoch).where(
        among(_EPOCHS.c.trial_id, "trials"),
        among(_EPOCHS.c.attempt, "attempts"),  # without it the index is read from a trial's first epoch on
        _EPOCHS.c.epoch.between(bindparam("first"), bindparam("last")),
    )
)
_N_EPOCHS: dict[str, int] = {}
MOST_KEPT = 4096
_numbers_of = attrgetter(*EPOCH_NUMBERS)


def lease_populations(
    session: Session, job_id: str, owner: str, round_: int, groups: Sequence[int]
) -> list[PopulationKey]:
    """Open the next attempt of pending populations; none when a user has paused or cancelled the job meanwhile."""
    job = lock_job(session, job_id, owner)
    if job.state not in ("running", "blocked"):
        return []
    leased = {group: _trials(session, job_id, round_, group) for group in groups}
    open_attempts(session, job, [(trial, {}) for trials in leased.values() for trial in trials])
    return [PopulationKey(job_id, round_, group, trials[0].attempt) for group, trials in leased.items()]


def open_attempts(session: Session, job: Job, trials: Sequence[tuple[Trial, dict[str, Any]]]) -> None:
    """Lease pending trials: the next attempt of each begins, with further columns of its row beside the trial."""
    for trial, _ in trials:
        trial.attempt += 1
    move_trials(session, job, [trial for trial, _ in trials], "leased")
    session.execute(insert(Attempt), [_attempt(trial) | more for trial, more in trials])


def _attempt(trial: Trial) -> dict[str, Any]:
    return {
        "trial_id": trial.id,
        "job_id": trial.job_id,
        "round": trial.round,
        "k": trial.k,
        "attempt": trial.attempt,
        "worker": "",
        "outcome": "",
        "reason": "",
        "n_stale": 0,
        "created_at": utc_now(),
        "lease": None,
        "lease_until": None,
        "request_hash": None,
    }


def record_events(session: Session, job_id: str, owner: str | None, events: Iterable[Event], max_attempts: int) -> None:
    """Write down what was reported of one job, in order. An event told twice, or too late, changes nothing.

    ``owner`` is None for reports of an external trainer: their fence is the attempt, not the job's lease, and a trial
    has ``max_attempts``. The service's own trainings are tried until a place can do them: a bad place is not a result.
    """
    events = list(events)
    if owner is not None and _record_plain(session.connection(), job_id, owner, events):
        return
    job = lock_job(session, job_id, owner)
    most = max_attempts if owner is None else None
    populations = _populations(session, job_id, events)
    epochs: list[EpochReported] = []
    for event in events:
        key = event.key
        trials = populations[key.round, key.group]
        if not _is_current(trials, key):
            _count_stale(session, trials, event)
        elif isinstance(event, PopulationStarted):
            _record_started(session, job, trials, event)
        elif isinstance(event, EpochReported):
            epochs.append(event)
        elif isinstance(event, PopulationFinished | PopulationLost):
            _insert_epochs(session, job, populations, epochs)
            epochs.clear()
            if isinstance(event, PopulationFinished):
                _record_finished(session, job, trials, event)
            else:
                _record_lost(session, job, trials, event, most)
    _insert_epochs(session, job, populations, epochs)


def _record_plain(connection: Connection, job_id: str, owner: str, events: Sequence[Event]) -> bool:
    """Epochs of populations that train, as most polls bring nothing else: a handful of statements and no mapped object.
    False, and nothing is written, where there is more to do."""
    epochs = [event for event in events if isinstance(event, EpochReported)]
    if not epochs or len(epochs) < len(events):
        return False
    [job] = _LOCK.rows(connection, job=job_id) or [None]
    if job is None or job[0] == "blocked" or job[1] != owner:
        return False
    wanted = {"rounds": sorted({e.key.round for e in epochs}), "groups": sorted({e.key.group for e in epochs})}
    trials: dict[tuple[int, int], list[Any]] = {}
    for row in _MEMBERS.rows(connection, job=job_id, **wanted):
        trials.setdefault((row[1], row[3]), []).append(row)
    for event in epochs:
        members = trials.get((event.key.round, event.key.group), ())
        if not members or any(row[4] != event.key.attempt or row[5] not in TRIAL_IN_FLIGHT for row in members):
            return False
    ids = {(row[1], row[2]): row[0] for members in trials.values() for row in members}
    _write_epochs(connection, job_id, _n_epochs(connection, job_id), ids, epochs)
    return True


def _n_epochs(connection: Connection, job_id: str) -> int:
    """Epochs of a full training of a job whose rounds have begun: it never changes, and a spec is long."""
    if job_id not in _N_EPOCHS:
        if len(_N_EPOCHS) >= MOST_KEPT:
            _N_EPOCHS.clear()
        _N_EPOCHS[job_id] = connection.execute(select(_J.c.spec).where(_J.c.id == job_id)).scalar_one()["train"][
            "n_epochs"
        ]
    return _N_EPOCHS[job_id]


def orphan_populations(
    session: Session, job_id: str, owner: str, reason: str, under_way: Collection[tuple[int, int]] = ()
) -> int:
    """Put back the populations whose dispatcher went, all but those (round, group) that are still under way; the number
    of trials put back."""
    job = lock_job(session, job_id, owner)
    query = select(Trial).where(Trial.job_id == job_id, Trial.state.in_(TRIAL_IN_FLIGHT))
    in_flight = session.scalars(query.order_by(Trial.round, Trial.k))
    trials = [trial for trial in in_flight if (trial.round, trial.group) not in under_way]
    _close_attempts(session, trials, "orphaned", reason)
    move_trials(session, job, trials, "lost", reason)
    move_trials(session, job, trials, "pending", reason)
    return len(trials)


def under_way(session: Session, job_id: str, keys: Iterable[PopulationKey]) -> frozenset[PopulationKey]:
    """Those of ``keys`` whose attempt is the current one and has not ended: their reports are wanted."""
    return frozenset(key for key in keys if _is_current(_trials(session, job_id, key.round, key.group), key))


def _trials(session: Session, job_id: str, round_: int, group: int) -> list[Trial]:
    query = select(Trial).where(Trial.job_id == job_id, Trial.round == round_, Trial.group == group)
    return list(session.scalars(query.order_by(Trial.k)))


def _populations(session: Session, job_id: str, events: Sequence[Event]) -> dict[tuple[int, int], list[Trial]]:
    """The trials of every population that these events are about, in one query for each round."""
    populations: dict[tuple[int, int], list[Trial]] = {(event.key.round, event.key.group): [] for event in events}
    epochs_alone = all(isinstance(event, EpochReported) for event in events)
    for m in sorted({round_ for round_, _ in populations}):
        groups = [group for round_, group in populations if round_ == m]
        query = select(Trial).where(Trial.job_id == job_id, Trial.round == m, Trial.group.in_(groups))
        if epochs_alone:  # then nobody asks for the schedules, which are most of a row
            query = query.options(defer(Trial.spec))
        for trial in session.scalars(query.order_by(Trial.k)):
            populations[m, trial.group].append(trial)
    return populations


def _is_current(trials: Sequence[Trial], key: PopulationKey) -> bool:
    return bool(trials) and all(trial.attempt == key.attempt and trial.state in TRIAL_IN_FLIGHT for trial in trials)


def _count_stale(session: Session, trials: Sequence[Trial], event: Event) -> None:
    """Keep a late event for the record. One of an attempt that ended well is a repetition and is not counted."""
    ks = {row.k for row in event.epochs} if isinstance(event, EpochReported) else {trial.k for trial in trials}
    session.execute(
        update(Attempt)
        .where(
            Attempt.trial_id.in_([trial.id for trial in trials if trial.k in ks]),
            Attempt.attempt == event.key.attempt,
            Attempt.outcome.in_(GIVEN_UP),
        )
        .values(n_stale=Attempt.n_stale + 1)
    )


def _record_started(session: Session, job: Job, trials: Sequence[Trial], event: PopulationStarted) -> None:
    if trials[0].state == "running":
        return
    move_trials(session, job, trials, "running")
    session.execute(
        update(Attempt)
        .where(Attempt.trial_id.in_([trial.id for trial in trials]), Attempt.attempt == event.key.attempt)
        .values(worker=event.worker[:200])
    )


def _insert_epochs(
    session: Session, job: Job, populations: dict[tuple[int, int], list[Trial]], events: Sequence[EpochReported]
) -> None:
    """All epochs of a batch in one insert, but those that are there already."""
    if not events:
        return
    _goes_on(session, job)
    ids = {(trial.round, trial.k): trial.id for group in populations.values() for trial in group}
    _write_epochs(session.connection(), job.id, job.spec["train"]["n_epochs"], ids, events)


def _write_epochs(
    connection: Connection,
    job_id: str,
    n_epochs: int,
    ids: Mapping[tuple[int, int], str],
    events: Sequence[EpochReported],
) -> None:
    """Rows and events of epochs that are not there yet, of the trials ``ids`` by round and k."""
    known = _known_epochs(connection, list(ids.values()), events)
    rows, told = [], []
    for event in events:
        m, group, attempt = event.key.round, event.key.group, event.key.attempt
        new: dict[int, list[int]] = {}
        for row in event.epochs:
            trial_id = ids.get((m, row.k))
            if trial_id is not None and (place := (trial_id, attempt, row.epoch)) not in known:
                known.add(place)
                rows.append(epoch_row(trial_id, attempt, row))
                new.setdefault(row.epoch, []).append(row.k)
        told += [epoch_event(m, group, attempt, n_epochs, epoch, new[epoch]) for epoch in sorted(new)]
    if rows:
        insert_many(connection, _EPOCHS, rows)
        at = utc_now()
        insert_events(connection, [{"job_id": job_id, "kind": "epochs", "data": d, "at": at} for d in packed(told)])


def _known_epochs(
    connection: Connection, ids: Sequence[str], events: Sequence[EpochReported]
) -> set[tuple[str, int, int]]:
    """(trial, attempt, epoch) of what these events could repeat, and of what lies between."""
    numbers = [row.epoch for event in events for row in event.epochs]
    if not numbers:
        return set()
    attempts = sorted({event.key.attempt for event in events})
    rows = _KNOWN.rows(connection, trials=ids, attempts=attempts, first=min(numbers), last=max(numbers))
    return {(trial_id, attempt, epoch) for trial_id, attempt, epoch in rows}


def epoch_row(trial_id: str, attempt: int, row: EpochMetrics) -> dict[str, Any]:
    """A row of the table of epochs."""
    return {
        "trial_id": trial_id,
        "attempt": attempt,
        "epoch": row.epoch,
        "networks": [[finite(value) for value in network] for network in row.networks] or None,
        **dict(zip(EPOCH_NUMBERS, map(finite, _numbers_of(row)), strict=True)),
    }


def epoch_event(round_: int, group: int, attempt: int, n_epochs: int, epoch: int, ks: list[int]) -> dict[str, Any]:
    """Says which numbers are there now; the numbers are in the table of epochs."""
    return {"round": round_, "group": group, "attempt": attempt, "n_epochs": n_epochs, "epoch": epoch, "ks": ks}


def _record_finished(session: Session, job: Job, trials: Sequence[Trial], event: PopulationFinished) -> None:
    _goes_on(session, job)
    results = {result.k: result for result in event.results}
    ended: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        result = results.get(
            trial.k, TrialResult(trial.round, trial.k, failed=True, reason="its population ended without it")
        )
        for name in TRIAL_NUMBERS:
            setattr(trial, name, finite(getattr(result, name)))
        trial.model = result.model
        trial.final = None if result.final is None else to_json(result.final)
        ended.setdefault(("failed", result.reason) if result.failed else ("succeeded", ""), []).append(trial)
    for (outcome, reason), alike in ended.items():
        _close_attempts(session, alike, outcome, reason)
        move_trials(session, job, alike, outcome, reason)


def _goes_on(session: Session, job: Job) -> None:
    """Unblock the job: one that trains is not blocked."""
    if job.state == "blocked":
        move_job(session, job, "running")


def _record_lost(
    session: Session, job: Job, trials: Sequence[Trial], event: PopulationLost, max_attempts: int | None
) -> None:
    if not event.retryable:
        _goes_on(session, job)
        _close_attempts(session, trials, "failed", event.reason)
        move_trials(session, job, trials, "failed", event.reason)
        return
    _close_attempts(session, trials, PAUSED if event.cause == PAUSED else "lost", event.reason)
    move_trials(session, job, trials, "lost", event.reason)
    n_lost = Counter[str]() if max_attempts is None else _n_lost(session, trials)
    spent = [trial for trial in trials if max_attempts is not None and n_lost[trial.id] >= max_attempts]
    move_trials(session, job, spent, "failed", f"given up after {max_attempts} attempts: {event.reason}")
    move_trials(session, job, [trial for trial in trials if trial not in spent], "pending", event.reason)
    if event.cause == OUT_OF_MEMORY and len(trials) > 1:
        _halve(session, job, trials[0].round, -(-len(trials) // 2))


def _halve(session: Session, job: Job, round_: int, most: int) -> None:
    """Limit populations of this job to ``most`` trials from now on: those of the round that wait, and all to come. The
    limit is part of the plan, so a later training of the job has the same populations."""
    job.population = most
    rows = select(Trial).where(Trial.job_id == job.id, Trial.round == round_).order_by(Trial.k)
    trials = session.scalars(rows).all()
    groups: dict[int, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.group, []).append(trial)
    free = max(groups) + 1
    for members in groups.values():
        if len(members) <= most or members[0].state != "pending":
            continue
        n_parts = -(-len(members) // most)
        for part in range(1, n_parts):
            for trial in members[part::n_parts]:
                trial.group = free
            free += 1


def _n_lost(session: Session, trials: Sequence[Trial]) -> Counter[str]:
    rows = session.execute(
        select(Attempt.trial_id, func.count())
        .where(Attempt.trial_id.in_([trial.id for trial in trials]), Attempt.outcome == "lost")
        .group_by(Attempt.trial_id)
    )
    return Counter(dict(rows.all()))


def _close_attempts(session: Session, trials: Sequence[Trial], outcome: str, reason: str) -> None:
    """End the current attempt of these trials."""
    session.execute(
        update(Attempt)
        .where(Attempt.trial_id.in_([trial.id for trial in trials]), Attempt.outcome == "")
        .values(outcome=outcome, reason=clean(reason), ended_at=utc_now())
    )


def finite(value: float | None) -> float | None:
    """JSON has no NaN: a number that is none is null."""
    return value if value is not None and math.isfinite(value) else None
