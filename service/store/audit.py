"""The audit log: written in the transaction of the change itself, so that neither is there without the other."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.changes import clean, utc_now
from service.store.models import AuditRow


def record(
    session: Session, owner: str, key_id: str | None, action: str, target: str, request_id: str, address: str
) -> None:
    """One change."""
    row = AuditRow(
        at=utc_now(),
        owner=owner,
        key_id=key_id,
        action=action,
        target=clean(target)[:80],
        request_id=request_id,
        address=address[:80],
    )
    session.add(row)


def entries(
    session: Session, limit: int, before: tuple[int] | None, owner: str | None, target: str | None
) -> Sequence[AuditRow]:
    """The newest first; one more than ``limit`` tells of a further page."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(AuditRow.id < before[0])
    if owner is not None:
        query = query.where(AuditRow.owner == owner)
    if target is not None:
        query = query.where(AuditRow.target == target)
    return session.scalars(query).all()
