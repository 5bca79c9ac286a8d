"""The dispatcher: the one process that drives the backend. It may be killed at any instant and started again."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from s2e.words import S2EError
from service.dispatch.backends import make_backend
from service.dispatch.guarded import BackendAwayError, GuardedBackend
from service.dispatch.heartbeat import Heartbeat
from service.dispatch.orchestrator import STALL_S, Orchestrator
from service.settings import Settings
from service.store import leases
from service.store.changes import LeaseLostError
from service.store.engine import Database
from workers.backend import Event, TrialBackend

MAX_JOBS = 32
"""Jobs led at once by one dispatcher."""
MAX_ERRORS = 3
"""Unexpected errors of one job before it is failed."""
DATABASE_AWAY = (OperationalError, InterfaceError)
WORKERS_S = 2.0
"""Seconds between two writings of the workers seen."""

log = structlog.get_logger("s2e.dispatcher")


class Dispatcher:
    """Takes the lease of every job without a dispatcher, and advances its jobs until told to stop."""

    def __init__(
        self,
        database: Database,
        backend: TrialBackend,
        *,
        lease_s: float = 5.0,
        poll_s: float = 0.2,
        max_attempts: int = 3,
        stall_s: float = STALL_S,
        owner: str = "",
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self.owner = owner or new_owner()
        self._database = database
        self._backend: TrialBackend = GuardedBackend(backend)
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._orchestrator = Orchestrator(database, self._backend, self.owner, max_attempts, stall_s=stall_s)
        self.heartbeat = heartbeat or Heartbeat(database, self.owner, lease_s)
        self._led: set[str] = set()
        self._errors: Counter[str] = Counter()
        self._workers_at_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; then let go of everything in order."""
        log.info("dispatcher started", owner=self.owner)
        self.heartbeat.works()
        self.heartbeat.start()
        try:
            while not stop.is_set():
                began_s = time.monotonic()
                try:
                    n_events = self.step()
                except DATABASE_AWAY:
                    # What was led is taken again once the leases ran out.
                    log.exception("database error")
                    self._drop_all()
                    stop.wait(self._lease_s)
                    continue
                if n_events == 0:  # a backend that has nothing to wait for answers at once
                    stop.wait(max(0.0, self._poll_s - (time.monotonic() - began_s)))
        finally:
            self.close()
            with suppress(*DATABASE_AWAY):
                self.heartbeat.stop()

    def step(self) -> int:
        """One pass over leases, events and jobs; the number of events of the backend."""
        self.heartbeat.beat_if_due()
        for job_id in self.heartbeat.take_lost() & self._led:
            log.warning("lease lost", job=job_id)
            self._drop(job_id)
        self._claim()
        self.heartbeat.leads(self._led)
        events = self._backend.poll(self._poll_s if self._led else 0.0)
        for job_id, of_job in _by_job(events).items():
            if job_id in self._led:
                with self._guard(job_id):
                    self._orchestrator.record(job_id, of_job)
        for job_id in sorted(self._led):
            with self._guard(job_id):
                self._advance(job_id)
        self._record_workers()
        self.heartbeat.leads(self._led)
        return len(events)

    def close(self) -> None:
        """Stop what trains and let others take the jobs at once."""
        led = sorted(self._led)
        self._drop_all()
        with suppress(BackendAwayError):
            self._backend.close()
        if led:
            # A database that is away keeps no other dispatcher waiting for longer than a lease.
            with suppress(*DATABASE_AWAY), self._database.write() as session:
                leases.release_leases(session, self.owner, led)
        log.info("dispatcher stopped", owner=self.owner, released=led)

    def _claim(self) -> None:
        room = MAX_JOBS - len(self._led)
        with self._database.read() as session:
            # A lease of ours that ran out while a poll took long is renewed, not claimed.
            free = [job_id for job_id in leases.claimable_jobs(session, MAX_JOBS) if job_id not in self._led]
        for job_id in free[:room]:
            with self._database.write() as session:
                taken = leases.acquire_lease(session, job_id, self.owner, self._lease_s)
            if taken:
                log.info("job taken", job=job_id)
                self._led.add(job_id)
                self.heartbeat.leads(self._led)
                with self._guard(job_id):
                    self._orchestrator.take_over(job_id)

    def _advance(self, job_id: str) -> None:
        if self._orchestrator.advance(job_id):
            with self._database.write() as session:
                leases.release_leases(session, self.owner, [job_id])
            log.info("job left", job=job_id)
            self._drop(job_id)

    @contextmanager
    def _guard(self, job_id: str) -> Iterator[None]:
        """Keep the trouble of one job to that job; a database that is away is everybody's trouble and passes."""
        try:
            yield
        except DATABASE_AWAY:
            raise
        except LeaseLostError as error:
            log.warning("lease lost", job=job_id, detail=str(error))
            self._drop(job_id)
        except BackendAwayError as error:  # not the job's fault, however often
            log.warning("backend away", job=job_id, detail=str(error))
            with suppress(LeaseLostError):
                self._orchestrator.block(job_id, f"the backend does not answer: {error}")
            self._drop(job_id)  # the lease is the pause before the next try
        except S2EError as error:  # the job itself is at fault, another try would end the same way
            self._fail(job_id, error)
        except Exception as error:
            log.exception("job raised an unexpected error", job=job_id)
            self._errors[job_id] += 1
            if self._errors[job_id] >= MAX_ERRORS:
                self._fail(job_id, error)
            else:
                self._drop(job_id)  # the lease stays ours until it runs out: that is the pause before the next try

    def _fail(self, job_id: str, error: Exception) -> None:
        log.error("job failed", job=job_id, error=type(error).__name__, detail=str(error))
        try:
            self._orchestrator.fail(job_id, f"{type(error).__name__}: {error}")
        except LeaseLostError:
            log.warning("lease lost", job=job_id)
        self._drop(job_id)

    def _drop(self, job_id: str) -> None:
        self._led.discard(job_id)
        with suppress(BackendAwayError):  # what cannot be told to stop is fenced off by its attempt
            self._orchestrator.drop(job_id)

    def _drop_all(self) -> None:
        for job_id in sorted(self._led):
            self._drop(job_id)

    def _record_workers(self) -> None:
        if time.monotonic() < self._workers_at_s:
            return
        with self._database.write() as session:
            quarantined = self._orchestrator.breaker.quarantined()
            leases.record_workers(session, self._backend.workers(), quarantined if self._led else None)
        self._workers_at_s = time.monotonic() + WORKERS_S


def new_owner() -> str:
    """A name for one dispatcher: host, process, and what tells it from the one before it."""
    return f"{socket.gethostname()[:48]}:{os.getpid()}:{secrets.token_hex(4)}"


def _by_job(events: Iterable[Event]) -> dict[str, list[Event]]:
    """The events of each job, in order."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.key.job_id, []).append(event)
    return found


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
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    database = Database(settings.database_url)
    owner = new_owner()
    heartbeat = Heartbeat(database, owner, settings.lease_s)
    try:
        backend = _backend_or_trouble(settings, heartbeat)
        dispatcher = Dispatcher(
            database,
            backend,
            lease_s=settings.lease_s,
            poll_s=settings.poll_s,
            max_attempts=settings.max_attempts,
            stall_s=settings.stall_s,
            owner=owner,
            heartbeat=heartbeat,
        )
        dispatcher.run(stop)
    finally:
        database.close()


def _backend_or_trouble(settings: Settings, heartbeat: Heartbeat) -> TrialBackend:
    """The backend; where it cannot be had, the reason is left for ``/readyz`` and the process ends."""
    try:
        with suppress(*DATABASE_AWAY):
            heartbeat.beat()
        return make_backend(settings)
    except Exception as error:
        log.exception("no backend", backend=settings.backend)
        with suppress(*DATABASE_AWAY):
            heartbeat.stop(f"backend {settings.backend}: {type(error).__name__}: {str(error)[:500]}")
        raise SystemExit(1) from error
