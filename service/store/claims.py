"""Asks of external trainers, many in one transaction; a companion of :mod:`service.store.together`.

Plain is an ask of a running job none of whose leases has run out, under a key that did not come before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, text, update
from sqlalchemy.orm import Session

from service.store.batch import Batch, lock_jobs, table_of
from service.store.changes import clean, utc_now
from service.store.external import external_spec, has_expired, lease_names, request_hash
from service.store.many import insert_many
from service.store.models import TRIAL_PENDING, Attempt, SearchRound, Trial, share_of
from service.store.orders import Answer, Ask, Grant, Granted, Order

_A, _T, _R = table_of(Attempt), table_of(Trial), table_of(SearchRound)
_GIVEN = select(_A.c.lease).where(_A.c.lease.in_(bindparam("leases", expanding=True)))
_PENDING = (
    select(_T)
    .where(_T.c.job_id == bindparam("job"), text(f"trials.{TRIAL_PENDING}"))
    .where(select(_R.c.id).where(_R.c.job_id == _T.c.job_id, _R.c.round == _T.c.round).exists())
    .order_by(_T.c.round, _T.c.k)
    .limit(bindparam("most"))
)
_LEASE = (
    update(_T)
    .where(_T.c.id.in_(bindparam("trials", expanding=True)))
    .values(state="leased", reason="", attempt=_T.c.attempt + 1)
)


@dataclass(frozen=True)
class _Trial:
    trial_id: str
    job_id: str
    round: int
    k: int
    label: str
    share: float


def asks_together(session: Session, orders: Sequence[Ask]) -> dict[Order, Answer]:
    """Answers to the plain ones of these orders."""
    if not orders:
        return {}
    connection, batch = session.connection(), Batch(utc_now())
    of_job: dict[str, list[Ask]] = {}
    for order in orders:
        of_job.setdefault(order.job_id, []).append(order)
    states = lock_jobs(connection, of_job)
    answers: dict[Order, Answer] = {}
    for job_id in sorted(of_job):
        if states.get(job_id) == "running" and _is_plain(session, job_id):
            answers |= _grant(connection, batch, of_job[job_id])
    batch.write(connection)
    return answers


def _is_plain(session: Session, job_id: str) -> bool:
    return external_spec(session, job_id) is not None and not has_expired(session, job_id)


def _grant(connection: Connection, batch: Batch, orders: Sequence[Ask]) -> dict[Order, Answer]:
    names = _names(connection, orders)
    most = sum(order.n_trials for order in names)
    pending = iter(connection.execute(_PENDING, {"job": orders[0].job_id, "most": most}).all())
    answers: dict[Order, Answer] = {}
    attempts: list[dict[str, Any]] = []
    for order, leases in names.items():
        until = batch.at + timedelta(seconds=order.lease_s)
        rows = list(zip(islice(pending, order.n_trials), leases, strict=False))
        attempts += [_attempt(row, order, lease, batch.at, until) for row, lease in rows]
        answers[order] = Granted("running", tuple(_granted(row, lease, until) for row, lease in rows))
        for row, _ in rows:
            trial = _Trial(row.id, row.job_id, row.round, row.k, row.label, share_of(row.spec))
            batch.move(trial, "pending", "leased")
    if attempts:
        connection.execute(_LEASE, {"trials": [attempt["trial_id"] for attempt in attempts]})
        insert_many(connection, _A, attempts)
    return answers


def _names(connection: Connection, orders: Sequence[Ask]) -> dict[Ask, list[str]]:
    """Leases for each order; none for one under a key that came before, in a batch or in this one."""
    names = {order: lease_names(order.job_id, order.key, order.n_trials) for order in orders}
    keyed = [name for order, leases in names.items() if order.key is not None for name in leases]
    given = set(connection.scalars(_GIVEN, {"leases": keyed})) if keyed else set()
    fresh: dict[Ask, list[str]] = {}
    for order, leases in names.items():
        if given.isdisjoint(leases):
            fresh[order] = leases
            given.update(leases)
    return fresh


def _attempt(row: Row[Any], order: Ask, lease: str, at: datetime, until: datetime) -> dict[str, Any]:
    return {
        "trial_id": row.id,
        "job_id": row.job_id,
        "round": row.round,
        "k": row.k,
        "attempt": row.attempt + 1,
        "worker": clean(order.worker)[:200],
        "outcome": "",
        "reason": "",
        "n_stale": 0,
        "created_at": at,
        "lease": lease,
        "lease_until": until,
        "request_hash": None if order.key is None else request_hash(order.n_trials, order.worker, order.lease_s),
    }


def _granted(row: Row[Any], lease: str, until: datetime) -> Grant:
    about = (row.id, row.round, row.k, row.label, row.repeat, row.attempt + 1)
    return Grant(*about, lease, until, row.spec)
