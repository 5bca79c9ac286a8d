"""/webhooks: addresses that receive messages about jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from s2e.words import Problem, SpecError, parse
from s2e.words import hooks as words
from s2e.words.answers import Items
from s2e.words.people import SUBMIT
from s2e.words.states import JOB_STATES
from service import webhooks
from service.api.body import JsonBody, body_schema
from service.api.callers import Caller
from service.api.deps import DatabaseDep, ReadSession, SettingsDep, WebhookId, WriteSession, record_action
from service.api.scopes import CallerDep, needs
from service.errors import Forbidden
from service.store import webhooks as stored
from service.store.models import DeliveryRow, WebhookRow

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


@router.post("", operation_id="create_webhook", status_code=201, openapi_extra=body_schema("WebhookIn"))
@needs(SUBMIT)
def create_webhook(
    request: Request, session: WriteSession, settings: SettingsDep, caller: CallerDep, body: JsonBody
) -> words.NewWebhook:
    """Let an address be told of one's jobs. The secret that signs its messages is in this answer and nowhere else."""
    wanted = parse(words.WebhookIn, body)
    known = "one of " + ", ".join(JOB_STATES)
    if problems := [Problem("states", state, known) for state in wanted.states if state not in JOB_STATES]:
        raise SpecError(*problems)
    if wanted.everybody and not caller.is_admin:
        raise Forbidden("a webhook for the jobs of everybody needs a key with the scope admin")
    webhooks.check_url(wanted.url, webhooks.networks(settings.webhook_networks))
    row = stored.create(session, wanted, caller.owner)
    request.state.target = row.id
    return words.NewWebhook(**vars(_webhook(row)), secret=row.secret)


@router.get("", operation_id="list_webhooks")
@needs(SUBMIT)
def list_webhooks(session: ReadSession, caller: CallerDep) -> Items[words.Webhook]:
    """One's webhooks; for an admin, those of all owners. Never a secret."""
    return Items(tuple(map(_webhook, stored.of_owner(session, _whose(caller)))))


@router.delete("/{webhook_id}", operation_id="delete_webhook", status_code=204)
@needs(SUBMIT)
def delete_webhook(session: WriteSession, caller: CallerDep, webhook_id: WebhookId) -> None:
    """Tell an address nothing more."""
    stored.remove(session, stored.find(session, webhook_id, _whose(caller)).id)


@router.post("/{webhook_id}/test", operation_id="test_webhook")
@needs(SUBMIT)
def test_webhook(
    request: Request, database: DatabaseDep, settings: SettingsDep, caller: CallerDep, webhook_id: WebhookId
) -> words.Delivery:
    """Send a message of the kind ``test`` now, once, and return the outcome."""
    with database.write() as session:
        message = stored.write_test(session, stored.find(session, webhook_id, _whose(caller)).id)
        record_action(request, session)
    allowed = webhooks.networks(settings.webhook_networks)
    answer = webhooks.send(message.url, message.secret, message.id, message.body, allowed)
    with database.write() as session:
        stored.record(session, message.id, answer.taken, answer.words)
        return _delivery(session.get_one(DeliveryRow, message.id))


@router.get("/{webhook_id}/deliveries", operation_id="list_deliveries")
@needs(SUBMIT)
def list_deliveries(
    session: ReadSession, caller: CallerDep, webhook_id: WebhookId, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Items[words.Delivery]:
    """The newest messages to a webhook, and their outcomes; those that have ended are kept for two weeks."""
    row = stored.find(session, webhook_id, _whose(caller))
    return Items(tuple(map(_delivery, stored.deliveries(session, row.id, limit))))


def _whose(caller: Caller) -> str | None:
    return None if caller.is_admin else caller.owner


def _webhook(row: WebhookRow) -> words.Webhook:
    return words.Webhook(
        id=row.id,
        owner=row.owner,
        url=row.url,
        states=tuple(row.states.split()),
        everybody=row.everybody,
        created_at=row.created_at,
    )


def _delivery(row: DeliveryRow) -> words.Delivery:
    return words.Delivery(
        id=row.id,
        job_id=row.job_id,
        outcome=row.outcome or "waiting",
        n_tries=row.n_tries,
        answer=row.answer,
        created_at=row.created_at,
        due_at=row.due_at,
    )
