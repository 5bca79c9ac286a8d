"""Reports and ends of external trials, many in one transaction: a busy service does little else.

Only plain ones are done here: reports under a valid lease, and successful ends. All others are left out of the answers,
untouched, for :func:`service.store.orders.carry_out`; both leave the same rows. A handful of statements serve a whole
batch, whatever its size, and the facts about a lease that never change are kept in memory.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, String, bindparam, select, update
from sqlalchemy.orm import Session

from s2e.words import EpochMetrics, TrialResult, TrialSpec, read, to_json
from s2e.words.states import TRIAL_IN_FLIGHT
from service.errors import Invalid
from service.store.batch import Batch, lock_jobs
from service.store.changes import utc_now
from service.store.external import Reported, end_of, external_spec
from service.store.many import insert_new
from service.store.models import EPOCH_NUMBERS, TRIAL_NUMBERS, Attempt, Base, Epoch, Job, Trial, share_of
from service.store.orders import Answer, End, Order, Report, metrics_of
from service.store.populations import epoch_event, epoch_row, finite
from service.store.told import packed

GOES_ON = ("running", "paused", "cancelling")
"""States of a job whose trials may be reported on; that of a blocked one changes with it."""
LATEST = 0.1
"""A lease is rewritten once this share of it has passed: not with every epoch of a fast training."""
MOST_KEPT = 4096

_E = Base.metadata.tables[Epoch.__tablename__]
_LEASES = bindparam("leases", type_=String(), expanding=True)
_FACTS = (
    select(Attempt.lease, Attempt.attempt, Trial.id, Trial.job_id, Trial.round, Trial.k, Trial.group, Trial.label)
    .add_columns(Trial.spec)
    .join(Trial, Trial.id == Attempt.trial_id)
    .where(Attempt.lease.in_(_LEASES))
)
_NOW = (
    select(Attempt.lease, Attempt.id, Attempt.outcome, Attempt.lease_until, Trial.state, Trial.attempt)
    .join(Trial, Trial.id == Attempt.trial_id)
    .where(Attempt.lease.in_(_LEASES))
)
_TOLD = (
    select(_E.c.trial_id, _E.c.attempt, _E.c.epoch, *(_E.c[name] for name in EPOCH_NUMBERS))
    .where(_E.c.trial_id.in_(bindparam("trials", expanding=True)))
    .order_by(_E.c.trial_id, _E.c.epoch)
)
_T, _A, _J = (Base.metadata.tables[table.__tablename__] for table in (Trial, Attempt, Job))
_PROLONG = update(_A).where(_A.c.id == bindparam("_id")).values(lease_until=bindparam("until"))
_START = (
    update(_T)
    .where(_T.c.id.in_(bindparam("trials", expanding=True)))
    .values(state="running", reason="", started_at=bindparam("at"))
)
_FINISH = (
    update(_T)
    .where(_T.c.id == bindparam("_id"))
    .values({"state": "succeeded", "reason": "", **{name: bindparam(f"_{name}") for name in TRIAL_NUMBERS}})
    .values(finished_at=bindparam("_at"), model=None, final=bindparam("_final"))
)
_CLOSE = (
    update(_A)
    .where(_A.c.id.in_(bindparam("attempts", expanding=True)))
    .values(outcome="succeeded", reason="", ended_at=bindparam("at"))
)
_COUNT = update(_J).where(_J.c.id == bindparam("_id")).values(n_trials_done=_J.c.n_trials_done + bindparam("n"))


@dataclass(frozen=True)
class Leased:
    """The facts about a lease that never change."""

    trial_id: str
    job_id: str
    round: int
    k: int
    group: int
    label: str
    attempt: int
    share: float
    spec: TrialSpec
    n_epochs: int
    tail: int
    """Of the epochs, those that the objective is a mean of."""


_leases: OrderedDict[str, Leased] = OrderedDict()


@dataclass
class _State:
    """A lease as it is in this transaction."""

    attempt_id: int
    until: datetime
    state: str
    """Of the trial."""


def reports_together(session: Session, orders: Sequence[Report | End]) -> dict[Order, Answer]:
    """Answers to the plain ones of these orders; to one for each lease at most, the first."""
    if not orders:
        return {}
    first: dict[str, Report | End] = {}
    for order in orders:
        first.setdefault(order.lease, order)
    known = _known(session, list(first.values()))
    connection, batch = session.connection(), Batch(utc_now())
    states = _states(connection, known, batch.at)
    plain = [order for lease, order in first.items() if lease in states and _fits(order, known[lease])]
    reports = [order for order in plain if isinstance(order, Report)]
    ends = _ends(connection, [order for order in plain if isinstance(order, End)], known)
    plain = [*reports, *ends]
    _start(connection, batch, [(known[order.lease], states[order.lease]) for order in plain])
    _add_epochs(connection, batch, reports, known)
    answers = _prolong(connection, reports, known, states, batch.at) | _finish(connection, batch, ends, known, states)
    batch.write(connection)
    return answers


def _known(session: Session, orders: Sequence[Report | End]) -> dict[str, Leased]:
    """The unchanging facts about the leases of these orders; orders whose lease is not their trial's are left out."""
    if new := [order.lease for order in orders if order.lease not in _leases]:
        for row in session.connection().execute(_FACTS, {"leases": new}).all():
            spec = external_spec(session, row.job_id)
            if spec is None:
                continue
            about = (row.id, row.job_id, row.round, row.k, row.population_group, row.label, row.attempt)
            trial = read(TrialSpec, row.spec)
            _leases[row.lease] = Leased(*about, share_of(row.spec), trial, spec.train.n_epochs, spec.tail_epochs)
    known = {order.lease: _leases[order.lease] for order in orders if order.lease in _leases}
    while len(_leases) > MOST_KEPT:
        _leases.popitem(last=False)
    return {order.lease: known[order.lease] for order in orders if _is_of(known.get(order.lease), order)}


def _is_of(leased: Leased | None, order: Report | End) -> bool:
    return leased is not None and leased.trial_id == order.trial_id


def _states(connection: Connection, known: dict[str, Leased], at: datetime) -> dict[str, _State]:
    """The leases that hold now, of jobs that go on; the jobs are locked."""
    if not known:
        return {}
    jobs = lock_jobs(connection, {leased.job_id for leased in known.values()})
    rows = connection.execute(_NOW, {"leases": list(known)}).all()
    return {
        row.lease: _State(row.id, row.lease_until, row.state)
        for row in rows
        if not row.outcome
        and row.lease_until > at
        and row.state in TRIAL_IN_FLIGHT
        and row.attempt == known[row.lease].attempt
        and jobs.get(known[row.lease].job_id) in GOES_ON
    }


def _fits(order: Report | End, leased: Leased) -> bool:
    if isinstance(order, End):
        return order.outcome == "succeeded"
    return all(row.epoch < len(leased.spec.keep_rate) for row in order.epochs)


def _start(connection: Connection, batch: Batch, leases: Sequence[tuple[Leased, _State]]) -> None:
    """With its first word a trial runs."""
    new = [leased for leased, state in leases if state.state == "leased"]
    if new:
        connection.execute(_START, {"trials": [leased.trial_id for leased in new], "at": batch.at})
        for leased in new:
            batch.move(leased, "leased", "running")


def _add_epochs(connection: Connection, batch: Batch, reports: Sequence[Report], known: dict[str, Leased]) -> None:
    """The epochs that are not there yet, and an event for each of them."""
    of_trial = {known[report.lease].trial_id: known[report.lease] for report in reports}
    rows = [
        epoch_row(leased.trial_id, leased.attempt, metrics_of(leased.k, leased.spec.keep_rate[row.epoch], row))
        for report in reports
        for leased in [known[report.lease]]
        for row in report.epochs
    ]
    if not rows:
        return
    told: dict[str, list[dict[str, Any]]] = {}
    for trial_id, attempt, epoch in sorted(insert_new(connection, _E, rows, ("trial_id", "attempt", "epoch"))):
        leased = of_trial[trial_id]
        about = epoch_event(leased.round, leased.group, attempt, leased.n_epochs, epoch, [leased.k])
        told.setdefault(leased.job_id, []).append(about)
    for job_id, epochs in told.items():
        for about in packed(epochs):
            batch.emit(job_id, "epochs", about)


def _prolong(
    connection: Connection,
    reports: Sequence[Report],
    known: dict[str, Leased],
    states: dict[str, _State],
    at: datetime,
) -> dict[Order, Answer]:
    answers: dict[Order, Answer] = {}
    late = []
    for report in reports:
        leased, state = known[report.lease], states[report.lease]
        until = at + timedelta(seconds=report.lease_s)
        if abs((until - state.until).total_seconds()) > LATEST * report.lease_s:
            late.append({"_id": state.attempt_id, "until": until})
            state.until = until
        answers[report] = Reported(leased.trial_id, "running", leased.attempt, None, state.until, "")
    if late:
        connection.execute(_PROLONG, late)
    return answers


def _ends(connection: Connection, orders: Sequence[End], known: dict[str, Leased]) -> dict[End, TrialResult]:
    """The result of each order that has told enough for one."""
    if not orders:
        return {}
    told: dict[tuple[str, int], list[EpochMetrics]] = {}
    rows = connection.execute(_TOLD, {"trials": [order.trial_id for order in orders]})
    for trial_id, attempt, epoch, *numbers in rows:
        named = dict(zip(EPOCH_NUMBERS, numbers, strict=True))
        told.setdefault((trial_id, attempt), []).append(EpochMetrics(k=0, epoch=epoch, **named))
    results = {}
    for order in orders:
        leased = known[order.lease]
        epochs = told.get((leased.trial_id, leased.attempt), ())
        with suppress(Invalid):  # whoever refuses says why
            results[order] = end_of(leased.spec, epochs, leased.n_epochs, leased.tail, order.validation_accuracy)
    return results


def _finish(
    connection: Connection,
    batch: Batch,
    ends: dict[End, TrialResult],
    known: dict[str, Leased],
    states: dict[str, _State],
) -> dict[Order, Answer]:
    if not ends:
        return {}
    rows: list[dict[str, Any]] = []
    answers: dict[Order, Answer] = {}
    for order, result in ends.items():
        leased = known[order.lease]
        numbers = {name: finite(getattr(result, name)) for name in TRIAL_NUMBERS}
        final = None if result.final is None else to_json(result.final)
        rows.append(
            {
                "_id": leased.trial_id,
                **{f"_{name}": numbers[name] for name in numbers},
                "_final": final,
                "_at": batch.at,
            }
        )
        batch.move(leased, "running", "succeeded", numbers)
        answers[order] = Reported(leased.trial_id, "succeeded", leased.attempt, result.objective, None, "")
    connection.execute(_FINISH, rows)
    connection.execute(_CLOSE, {"attempts": [states[order.lease].attempt_id for order in ends], "at": batch.at})
    n_done = Counter(known[order.lease].job_id for order in ends)
    connection.execute(_COUNT, [{"_id": job_id, "n": n} for job_id, n in sorted(n_done.items())])
    return answers
