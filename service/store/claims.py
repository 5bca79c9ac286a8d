"""Asks of external trainers, many in one transaction; a companion of :mod:`service.store.together`.

Plain is an ask of a running job none of whose leases has run out, under a key that did not come before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import bindparam, select, text, update
from sqlalchemy.orm import Session

from service.store.batch import Batch, table_of
from service.store.changes import clean
from service.store.external import external_spec, lease_names, request_hash
from service.store.many import insert_many
from service.store.models import ATTEMPT_OPEN, TRIAL_PENDING, Attempt, SearchRound, Trial, share_of
from service.store.orders import Answer, Ask, Grant, Granted, Order
from service.store.quick import Quick

_A, _T, _R = table_of(Attempt), table_of(Trial), table_of(SearchRound)
_EXPIRED = Quick(
    lambda among: (
        select(_A.c.job_id)
        .where(among(_A.c.job_id, "jobs"), text(f"attempts.{ATTEMPT_OPEN}"), _A.c.lease_until < bindparam("at"))
        .distinct()
    )
)
_GIVEN = Quick(lambda among: select(_A.c.lease).where(among(_A.c.lease, "leases")))
_PENDING = Quick(
    lambda _: (
        select(_T.c.attempt, _T.c.spec, _T.c.repeat, _T.c.id, _T.c.job_id, _T.c.round, _T.c.k, _T.c.label)
        .where(_T.c.job_id == bindparam("job"), text(f"trials.{TRIAL_PENDING}"))
        .where(select(_R.c.id).where(_R.c.job_id == _T.c.job_id, _R.c.round == _T.c.round).exists())
        .order_by(_T.c.round, _T.c.k)
        .limit(bindparam("most"))
    )
)
_LEASE = Quick(
    lambda among: update(_T).where(among(_T.c.id, "trials")).values(state="leased", reason="", attempt=_T.c.attempt + 1)
)


@dataclass(frozen=True)
class _Trial:
    """A pending trial."""

    attempt: int
    spec: dict[str, Any]
    repeat: int
    trial_id: str
    job_id: str
    round: int
    k: int
    label: str

    @property
    def share(self) -> float:
        return share_of(self.spec)


def grant_together(session: Session, batch: Batch, orders: Sequence[Ask]) -> dict[Order, Answer]:
    """Answers to the plain ones of these orders, whose jobs the batch has locked."""
    of_job: dict[str, list[Ask]] = {}
    for order in orders:
        if batch.jobs.get(order.job_id) == "running" and external_spec(session, order.job_id) is not None:
            of_job.setdefault(order.job_id, []).append(order)
    if not of_job:
        return {}
    expired = {job_id for (job_id,) in _EXPIRED.rows(batch.connection, jobs=list(of_job), at=batch.at)}
    answers: dict[Order, Answer] = {}
    for job_id in sorted(of_job.keys() - expired):
        answers |= _grant(batch, of_job[job_id])
    return answers


def _grant(batch: Batch, orders: Sequence[Ask]) -> dict[Order, Answer]:
    names = _names(batch, orders)
    most = sum(order.n_trials for order in names)
    pending = (_Trial(*row) for row in _PENDING.rows(batch.connection, job=orders[0].job_id, most=most))
    answers: dict[Order, Answer] = {}
    attempts: list[dict[str, Any]] = []
    for order, leases in names.items():
        until = batch.at + timedelta(seconds=order.lease_s)
        trials = list(zip(islice(pending, order.n_trials), leases, strict=False))
        attempts += [_attempt(trial, order, lease, batch.at, until) for trial, lease in trials]
        answers[order] = Granted("running", tuple(_granted(trial, lease, until) for trial, lease in trials))
        for trial, _ in trials:
            batch.move(trial, "pending", "leased")
    if attempts:
        _LEASE.run(batch.connection, trials=[attempt["trial_id"] for attempt in attempts])
        insert_many(batch.connection, _A, attempts)
    return answers


def _names(batch: Batch, orders: Sequence[Ask]) -> dict[Ask, list[str]]:
    """Leases for each order; none for one under a key that came before, in a batch or in this one."""
    names = {order: lease_names(order.job_id, order.key, order.n_trials) for order in orders}
    keyed = [name for order, leases in names.items() if order.key is not None for name in leases]
    given = {lease for (lease,) in _GIVEN.rows(batch.connection, leases=keyed)} if keyed else set()
    fresh: dict[Ask, list[str]] = {}
    for order, leases in names.items():
        if given.isdisjoint(leases):
            fresh[order] = leases
            given.update(leases)
    return fresh


def _attempt(trial: _Trial, order: Ask, lease: str, at: datetime, until: datetime) -> dict[str, Any]:
    return {
        "trial_id": trial.trial_id,
        "job_id": trial.job_id,
        "round": trial.round,
        "k": trial.k,
        "attempt": trial.attempt + 1,
        "worker": clean(order.worker)[:200],
        "outcome": "",
        "reason": "",
        "n_stale": 0,
        "created_at": at,
        "lease": lease,
        "lease_until": until,
        "request_hash": None if order.key is None else request_hash(order.n_trials, order.worker, order.lease_s),
    }


def _granted(trial: _Trial, lease: str, until: datetime) -> Grant:
    about = (trial.trial_id, trial.round, trial.k, trial.label, trial.repeat, trial.attempt + 1)
    return Grant(*about, lease, until, trial.spec)
