"""Orders of external trials, many in one transaction: a busy service does little else.

Only plain ones are done here: asks (:mod:`service.store.claims`), reports under a valid lease, and successful ends. All
others are left out of the answers, untouched, for :func:`service.store.orders.carry_out`; both leave the same rows. A
handful of statements serve a whole batch, whatever its size, and the facts about a lease that never change are kept in
memory.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from s2e.words import EpochMetrics, TrialResult, TrialSpec, read, to_json
from s2e.words.states import TRIAL_IN_FLIGHT
from service.errors import Invalid
from service.store.batch import Batch, table_of
from service.store.changes import utc_now
from service.store.claims import grant_together
from service.store.external import Reported, end_of, external_spec
from service.store.many import insert_new, update_many
from service.store.models import EPOCH_NUMBERS, TRIAL_NUMBERS, Attempt, Epoch, Job, Trial, share_of
from service.store.orders import Answer, Ask, End, Order, Report, metrics_of
from service.store.populations import epoch_event, epoch_row, finite
from service.store.quick import Quick
from service.store.told import packed

GOES_ON = ("running", "paused", "cancelling")
"""States of a job whose trials may be reported on; that of a blocked one changes with it."""
LATEST = 0.1
"""A lease is rewritten once this share of it has passed: not with every epoch of a fast training."""
MOST_KEPT = 4096

_E, _T, _A, _J = map(table_of, (Epoch, Trial, Attempt, Job))
_FACTS = Quick(
    lambda among: (
        select(Attempt.lease, Trial.spec)
        .add_columns(Trial.id, Trial.job_id, Trial.round, Trial.k, Trial.group, Trial.label, Attempt.attempt)
        .join(Trial, Trial.id == Attempt.trial_id)
        .where(among(Attempt.lease, "leases"))
    )
)
_NOW = Quick(
    lambda among: (
        select(Attempt.lease, Attempt.outcome, Trial.attempt, Attempt.id, Attempt.lease_until, Trial.state)
        .join(Trial, Trial.id == Attempt.trial_id)
        .where(among(Attempt.lease, "leases"))
    )
)
_TOLD = Quick(
    lambda among: (
        select(_E.c.trial_id, _E.c.attempt, _E.c.epoch, *(_E.c[name] for name in EPOCH_NUMBERS))
        .where(among(_E.c.trial_id, "trials"))
        .order_by(_E.c.trial_id, _E.c.epoch)
    )
)
_START = Quick(
    lambda among: (
        update(_T).where(among(_T.c.id, "trials")).values(state="running", reason="", started_at=bindparam("at"))
    )
)
_COUNT = Quick(
    lambda _: update(_J).where(_J.c.id == bindparam("job")).values(n_trials_done=_J.c.n_trials_done + bindparam("n"))
)


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


def together(session: Session, orders: Sequence[Order]) -> dict[Order, Answer]:
    """Answers to the plain ones of these orders; of reports and ends, to one for each lease at most, the first."""
    asks = [order for order in orders if isinstance(order, Ask)]
    first: dict[str, Report | End] = {}
    for order in orders:
        if not isinstance(order, Ask):
            first.setdefault(order.lease, order)
    known = _known(session, list(first.values()))
    # All jobs at once, in order: two transactions never wait for each other.
    job_ids = {leased.job_id for leased in known.values()} | {ask.job_id for ask in asks}
    batch = Batch(session.connection(), job_ids, utc_now())
    answers = _reported(batch, first, known) | grant_together(session, batch, asks)
    batch.write()
    return answers


def _reported(batch: Batch, first: dict[str, Report | End], known: dict[str, Leased]) -> dict[Order, Answer]:
    states = _states(batch, known)
    plain = [order for lease, order in first.items() if lease in states and _fits(order, known[lease])]
    reports = [order for order in plain if isinstance(order, Report)]
    ends = _ends(batch, [order for order in plain if isinstance(order, End)], known)
    plain = [*reports, *ends]
    _start(batch, [(known[order.lease], states[order.lease]) for order in plain])
    _add_epochs(batch, reports, known)
    return _prolong(batch, reports, known, states) | _finish(batch, ends, known, states)


def _known(session: Session, orders: Sequence[Report | End]) -> dict[str, Leased]:
    """The unchanging facts about the leases of these orders; orders whose lease is not their trial's are left out."""
    if new := [order.lease for order in orders if order.lease not in _leases]:
        for lease, stored, *place in _FACTS.rows(session.connection(), leases=new):
            spec = external_spec(session, place[1])
            if spec is not None:
                about = *place, share_of(stored), read(TrialSpec, stored), spec.train.n_epochs, spec.tail_epochs
                _leases[lease] = Leased(*about)
    known = {order.lease: _leases[order.lease] for order in orders if order.lease in _leases}
    while len(_leases) > MOST_KEPT:
        _leases.popitem(last=False)
    return {order.lease: known[order.lease] for order in orders if _is_of(known.get(order.lease), order)}


def _is_of(leased: Leased | None, order: Report | End) -> bool:
    return leased is not None and leased.trial_id == order.trial_id


def _states(batch: Batch, known: dict[str, Leased]) -> dict[str, _State]:
    """The leases that hold now, of jobs that go on."""
    rows = _NOW.rows(batch.connection, leases=list(known)) if known else ()
    return {
        lease: _State(attempt_id, until.astimezone(UTC), state)
        for lease, outcome, attempt, attempt_id, until, state in rows
        if not outcome
        and until > batch.at
        and state in TRIAL_IN_FLIGHT
        and attempt == known[lease].attempt
        and batch.jobs.get(known[lease].job_id) in GOES_ON
    }


def _fits(order: Report | End, leased: Leased) -> bool:
    if isinstance(order, End):
        return order.outcome == "succeeded"
    return all(row.epoch < len(leased.spec.keep_rate) for row in order.epochs)


def _start(batch: Batch, leases: Sequence[tuple[Leased, _State]]) -> None:
    """With its first word a trial runs."""
    new = [leased for leased, state in leases if state.state == "leased"]
    if new:
        _START.run(batch.connection, trials=[leased.trial_id for leased in new], at=batch.at)
        for leased in new:
            batch.move(leased, "leased", "running")


def _add_epochs(batch: Batch, reports: Sequence[Report], known: dict[str, Leased]) -> None:
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
    for trial_id, attempt, epoch in sorted(insert_new(batch.connection, _E, rows, ("trial_id", "attempt", "epoch"))):
        leased = of_trial[trial_id]
        about = epoch_event(leased.round, leased.group, attempt, leased.n_epochs, epoch, [leased.k])
        told.setdefault(leased.job_id, []).append(about)
    for job_id, epochs in told.items():
        for about in packed(epochs):
            batch.emit(job_id, "epochs", about)


def _prolong(
    batch: Batch, reports: Sequence[Report], known: dict[str, Leased], states: dict[str, _State]
) -> dict[Order, Answer]:
    answers: dict[Order, Answer] = {}
    late = []
    for report in reports:
        leased, state = known[report.lease], states[report.lease]
        until = batch.at + timedelta(seconds=report.lease_s)
        if abs((until - state.until).total_seconds()) > LATEST * report.lease_s:
            late.append({"id": state.attempt_id, "lease_until": until})
            state.until = until
        answers[report] = Reported(leased.trial_id, "running", leased.attempt, None, state.until, "")
    update_many(batch.connection, _A, late)
    return answers


def _ends(batch: Batch, orders: Sequence[End], known: dict[str, Leased]) -> dict[End, TrialResult]:
    """The result of each order that has told enough for one."""
    if not orders:
        return {}
    told: dict[tuple[str, int], list[EpochMetrics]] = {}
    rows = _TOLD.rows(batch.connection, trials=[order.trial_id for order in orders])
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
    batch: Batch, ends: dict[End, TrialResult], known: dict[str, Leased], states: dict[str, _State]
) -> dict[Order, Answer]:
    trials: list[dict[str, Any]] = []
    attempts: list[dict[str, Any]] = []
    answers: dict[Order, Answer] = {}
    for order, result in ends.items():
        leased = known[order.lease]
        numbers = {name: finite(getattr(result, name)) for name in TRIAL_NUMBERS}
        final = None if result.final is None else to_json(result.final)
        ended = {"state": "succeeded", "reason": "", "finished_at": batch.at, "model": None, "final": final}
        trials.append({"id": leased.trial_id, **ended, **numbers})
        outcome = {"outcome": "succeeded", "reason": "", "ended_at": batch.at}
        attempts.append({"id": states[order.lease].attempt_id, **outcome})
        batch.move(leased, "running", "succeeded", numbers)
        answers[order] = Reported(leased.trial_id, "succeeded", leased.attempt, result.objective, None, "")
    update_many(batch.connection, _T, trials)
    update_many(batch.connection, _A, attempts)
    for job_id, n in sorted(Counter(known[order.lease].job_id for order in ends).items()):
        _COUNT.run(batch.connection, job=job_id, n=n)
    return answers
