"""Words about messages to other programs: webhooks, and their deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from s2e.words.fields import param
from s2e.words.states import JOB_ENDED, JOB_STATES

HOOK_STATES = (*sorted(JOB_ENDED), "blocked")


@dataclass(frozen=True, kw_only=True)
class WebhookIn:
    """An address that shall be told of jobs."""

    url: str = param(max_length=1_000, doc="http or https, at a public address")
    states: tuple[str, ...] = param(HOOK_STATES, doc="states of a job that it is told of: " + ", ".join(JOB_STATES))
    everybody: bool = param(False, doc="of the jobs of all owners; needs the scope admin")


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """An address that receives messages about jobs, without its secret, which is shown once, when it is made."""

    id: str
    owner: str
    url: str
    states: tuple[str, ...]
    everybody: bool
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class NewWebhook(Webhook):
    """A webhook that has just been made, with its secret."""

    secret: str = param(
        doc="messages carry 'X-S2E-Signature: t=SECONDS,v1=HEX', the HMAC-SHA256 of 'SECONDS.BODY' under it"
    )


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message to a webhook. It is tried again, later and later, until it is taken (an answer of 2xx) or given up."""

    id: str = param(doc="also in the header X-S2E-Delivery; one message may come twice")
    job_id: str | None = param(doc="null: a test")
    outcome: str = param(choices=("waiting", "taken", "given up"), doc="")
    n_tries: int
    answer: str = param(doc="what came of the last try")
    created_at: datetime
    due_at: datetime = param(doc="of the next try, while it waits")
