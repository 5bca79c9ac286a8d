"""Registered data sets: kept by name, replaced by their owner only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from s2e.words.states import JOB_ENDED
from service.errors import Conflict, Forbidden, NotFound
from service.store.changes import utc_now
from service.store.models import DatasetRow, Job

MOST_NAMED = 5
"""Jobs that a refusal names."""


def put(
    session: Session,
    name: str,
    kind: str,
    data: Mapping[str, Any],
    seen: Mapping[str, Any],
    owner: str,
    *,
    any_owner: bool,
) -> DatasetRow:
    """Keep a data set, in place of one with its name. Raises Forbidden if that belongs to another owner."""
    row = session.get(DatasetRow, name)
    if row is not None and row.owner not in ("", owner) and not any_owner:
        raise Forbidden(f"data set {name} is {row.owner}'s, and the key shown is {owner}'s")
    if row is None:
        row = DatasetRow(name=name, owner=owner)
        session.add(row)
    row.kind, row.data, row.created_at = kind, dict(data), utc_now()
    row.fingerprint, row.n_bytes = seen["fingerprint"], seen["n_bytes"]
    row.preview, row.proposed = seen["preview"], seen["proposed"]
    session.flush()
    return row


def get(session: Session, name: str) -> DatasetRow:
    """Raises NotFound."""
    row = session.get(DatasetRow, name)
    if row is None:
        raise NotFound("registered data set", name)
    return row


def using(session: Session, name: str, most: int) -> Sequence[str]:
    """Ids of the newest jobs that name a data set."""
    named = Job.spec["data"]["registered"].as_string() == name
    return session.scalars(select(Job.id).where(named).order_by(Job.id.desc()).limit(most)).all()


def remove(session: Session, name: str, owner: str, *, any_owner: bool) -> DatasetRow:
    """Forget a data set, and return it. Raises NotFound; Forbidden for another owner's; Conflict, with the jobs, while
    one that has not ended uses it."""
    row = session.get(DatasetRow, name, with_for_update=True)
    if row is None:
        raise NotFound("registered data set", name)
    if row.owner not in ("", owner) and not any_owner:
        raise Forbidden(f"data set {name} is {row.owner}'s, and the key shown is {owner}'s")
    named = Job.spec["data"]["registered"].as_string() == name
    open_jobs = session.scalars(select(Job.id).where(Job.state.not_in(JOB_ENDED), named).order_by(Job.id)).all()
    if open_jobs:
        listed = ", ".join(open_jobs[:MOST_NAMED]) + (f", ... ({len(open_jobs)} in all)" if len(open_jobs) > 5 else "")
        raise Conflict(f"data set {name} is used by jobs that have not ended: {listed}; cancel them, or wait")
    session.delete(row)
    session.flush()
    return row


def paths_in_use(session: Session, *, by_ended: bool = False) -> Iterator[str]:
    """The sections ``data``, as text, of every registered set and of every job that has not ended; ``by_ended`` of
    those that have, too."""
    for row in every(session):
        yield json.dumps(row.data)
    jobs = select(Job.spec["data"])
    for data in session.scalars(jobs if by_ended else jobs.where(Job.state.not_in(JOB_ENDED))):
        yield json.dumps(data or {})


def find(session: Session, name: str) -> DatasetRow | None:
    return session.get(DatasetRow, name)


def every(session: Session) -> Sequence[DatasetRow]:
    """In the order of their names."""
    return session.scalars(select(DatasetRow).order_by(DatasetRow.name)).all()
