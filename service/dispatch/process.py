"""The process of a dispatcher: settings put together, signals, log, and a backend or the reason for none."""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import suppress
from functools import partial

import structlog

from service import logs
from service.dispatch.backends import make_backend
from service.dispatch.courier import Courier
from service.dispatch.dispatcher import Dispatcher
from service.dispatch.heartbeat import Heartbeat
from service.dispatch.neighbours import marked, new_owner
from service.dispatch.rest import Rest, RestingBackend
from service.dispatch.retention import Retention, Rules
from service.dispatch.supervisor import tell_ready
from service.settings import Settings
from service.signals import set_by_signals
from service.store.engine import Database
from service.store.outage import OUTAGES
from service.webhooks import networks
from workers.backend import TrialBackend

log = structlog.get_logger("s2e.dispatcher")


def configure_logging() -> None:
    """One JSON object a line, on standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


def run(settings: Settings) -> None:
    """A dispatcher in this process, until SIGTERM or SIGINT."""
    configure_logging()
    logs.configure()
    stop = threading.Event()
    set_by_signals(stop)
    database = Database(settings.database_url, pool=settings.database_pool, wait_s=settings.database_wait_s)
    owner = new_owner()
    heartbeat = Heartbeat(database, owner, settings.lease_s)
    try:
        rest = Rest.of(settings.rest_s)
        backend = _backend_or_trouble(settings, heartbeat, rest)
        dispatcher = Dispatcher(
            database,
            backend,
            lease_s=settings.lease_s,
            poll_s=settings.poll_s,
            max_attempts=settings.max_attempts,
            stall_s=settings.stall_s,
            owner_trials=settings.owner_trials,
            keep_trainers=settings.keep_trainers,
            owner=owner,
            heartbeat=heartbeat,
            rest=rest,
        )
        courier = Courier(database, networks(settings.webhook_networks))
        keeps = Retention(database, settings.artifacts, Rules.of(settings), owner, settings.data_root)
        courier.start()
        keeps.start()
        tell_ready()
        with marked(owner):
            rests = dispatcher.run(stop)
        keeps.stop()
        courier.stop()
        if rest is not None and rests:
            rest.begin(dispatcher.places)
            log.info("nothing to train: Ray rests until a job comes", after_s=rest.after_s)
    finally:
        database.close()


def _backend_or_trouble(settings: Settings, heartbeat: Heartbeat, rest: Rest | None = None) -> TrialBackend:
    """The backend, at rest or not; where it cannot be had, the reason is left for ``/readyz`` and the process ends."""

    def gone(reason: str) -> None:
        """A wait for the backend cannot be interrupted, so this process ends and another one starts over."""
        log.error("backend gone", reason=reason)
        with suppress(*OUTAGES):
            heartbeat.last_word(reason)
        os._exit(1)

    def woken(rest: Rest) -> TrialBackend:
        log.info("a job has come: Ray starts")
        rest.end()
        return make_backend(settings, gone)

    try:
        with suppress(*OUTAGES):
            heartbeat.beat()
        if rest is not None and rest.is_on():
            return RestingBackend(rest.places(), partial(woken, rest))
        return make_backend(settings, gone)
    except Exception as error:
        log.exception("no backend", backend=settings.backend)
        with suppress(*OUTAGES):
            heartbeat.stop(f"backend {settings.backend}: {type(error).__name__}: {str(error)[:500]}")
        raise SystemExit(1) from error
