"""Registered data sets: kept by name, replaced by their owner only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.errors import Forbidden, NotFound
from service.store.changes import utc_now
from service.store.models import DatasetRow


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


def find(session: Session, name: str) -> DatasetRow | None:
    return session.get(DatasetRow, name)


def every(session: Session) -> Sequence[DatasetRow]:
    """In the order of their names."""
    return session.scalars(select(DatasetRow).order_by(DatasetRow.name)).all()
