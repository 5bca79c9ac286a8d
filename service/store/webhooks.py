"""Webhooks and their messages. A message is written with the change it tells of, in one transaction."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from s2e.words.hooks import WebhookIn
from service.errors import NotFound
from service.store.changes import clean, new_id, utc_now
from service.store.models import DELIVERY_OPEN, DeliveryRow, WebhookRow

BACK_OFF_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 4 * 3600.0, 12 * 3600.0)
"""Between two tries; after the last one a message is given up."""
CLAIM_S = 60.0
"""A message is in the hands of one courier for this long."""
KEPT_DAYS = 14


@dataclass(frozen=True)
class Message:
    """A message that is due."""

    id: str
    webhook_id: str
    url: str
    secret: str
    body: str


def create(session: Session, wanted: WebhookIn, owner: str) -> WebhookRow:
    row = WebhookRow(
        id=new_id(),
        owner=owner,
        url=clean(wanted.url),
        secret="whsec_" + secrets.token_urlsafe(32),
        states=" ".join(dict.fromkeys(wanted.states)),
        everybody=wanted.everybody,
        created_at=utc_now(),
    )
    session.add(row)
    session.flush()
    return row


def of_owner(session: Session, owner: str | None) -> Sequence[WebhookRow]:
    """The webhooks of an owner; None: of all."""
    query = select(WebhookRow).order_by(WebhookRow.id)
    return session.scalars(query if owner is None else query.where(WebhookRow.owner == owner)).all()


def find(session: Session, webhook_id: str, owner: str | None) -> WebhookRow:
    """A webhook of an owner; None: of anybody. Raises NotFound."""
    row = session.get(WebhookRow, webhook_id)
    if row is None or owner not in (None, row.owner):
        raise NotFound("webhook", webhook_id)
    return row


def remove(session: Session, webhook_id: str) -> None:
    """With its messages."""
    session.execute(delete(WebhookRow).where(WebhookRow.id == webhook_id))


def deliveries(session: Session, webhook_id: str, limit: int) -> Sequence[DeliveryRow]:
    """The newest messages of a webhook."""
    query = select(DeliveryRow).where(DeliveryRow.webhook_id == webhook_id)
    return session.scalars(query.order_by(DeliveryRow.id.desc()).limit(limit)).all()


def write_test(session: Session, webhook_id: str) -> Message:
    """A test message, in the hands of the caller."""
    hook, at = session.get_one(WebhookRow, webhook_id), utc_now()
    message_id = new_id()
    body = json.dumps({"id": message_id, "kind": "test", "at": at.isoformat()})
    due_at = at + timedelta(seconds=CLAIM_S)
    session.add(DeliveryRow(id=message_id, webhook_id=hook.id, body=body, created_at=at, due_at=due_at))
    session.flush()
    return Message(message_id, hook.id, hook.url, hook.secret, body)


def has_due(session: Session) -> bool:
    """True if a message is due."""
    due = select(DeliveryRow.id).where(text(f"webhook_deliveries.{DELIVERY_OPEN}"), DeliveryRow.due_at <= utc_now())
    return session.scalar(due.limit(1)) is not None


def claim_due(session: Session, limit: int, busy: Collection[str] = ()) -> list[Message]:
    """Messages that are due, the oldest of each webhook that is not ``busy``: in the caller's hands for a minute."""
    now = utc_now()
    due = text(f"webhook_deliveries.{DELIVERY_OPEN}"), DeliveryRow.due_at <= now
    hooks = select(DeliveryRow.webhook_id).where(*due, DeliveryRow.webhook_id.not_in(busy))
    hooks = hooks.group_by(DeliveryRow.webhook_id).order_by(func.min(DeliveryRow.due_at)).limit(limit)
    messages = []
    for webhook_id in session.scalars(hooks).all():
        query = (
            select(DeliveryRow.id, WebhookRow.id, WebhookRow.url, WebhookRow.secret, DeliveryRow.body)
            .join(WebhookRow, WebhookRow.id == DeliveryRow.webhook_id)
            .where(*due, DeliveryRow.webhook_id == webhook_id)
            .order_by(DeliveryRow.due_at)
            .limit(1)
            .with_for_update(skip_locked=True, of=DeliveryRow)
        )
        messages += [Message(*row) for row in session.execute(query)]
    if messages:
        ids, until = [message.id for message in messages], now + timedelta(seconds=CLAIM_S)
        session.execute(update(DeliveryRow).where(DeliveryRow.id.in_(ids)).values(due_at=until))
    return messages


def record(session: Session, message_id: str, taken: bool, answer: str) -> None:
    """Record the outcome of a try: the message is taken, tried again later, or given up."""
    row = session.get(DeliveryRow, message_id)
    if row is None or row.outcome:
        return
    row.n_tries, row.answer = row.n_tries + 1, clean(answer)
    if taken:
        row.outcome = "taken"
    elif row.n_tries > len(BACK_OFF_S) or row.job_id is None:
        row.outcome = "given up"
    else:
        row.due_at = utc_now() + timedelta(seconds=BACK_OFF_S[row.n_tries - 1])


def forget_old(session: Session) -> None:
    """Messages that have ended are kept for two weeks."""
    before = utc_now() - timedelta(days=KEPT_DAYS)
    session.execute(delete(DeliveryRow).where(DeliveryRow.outcome != "", DeliveryRow.created_at < before))
