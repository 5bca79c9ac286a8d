"""The dispatcher: the one process that drives the backend. It may be killed at any instant and started again."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import structlog

from s2e.words import S2EError
from service.dispatch.guarded import BackendAwayError, GuardedBackend
from service.dispatch.heartbeat import Heartbeat
from service.dispatch.neighbours import Neighbours, new_owner
from service.dispatch.orchestrator import STALL_S, Orchestrator
from service.dispatch.rest import Rest
from service.dispatch.step import Step
from service.dispatch.turns import Claim, Turns
from service.store import leases
from service.store.changes import LeaseLostError
from service.store.engine import Database
from service.store.outage import OUTAGES, reason_of
from workers.backend import EpochReported, Event, PopulationLogged, TrialBackend, WorkerInfo

CLAIMS = 32
"""Most jobs taken in one pass; between two passes those that are led have their turns."""
MAX_ERRORS = 3
"""Unexpected errors of one job before it is failed."""
AWAY_S = 1.0
"""Seconds between two looks for a database that is away."""
VISIT_S = 2.0
"""Seconds after which every job gets a turn whatever is known of it."""
SWEEP_S = 10.0
"""Seconds between two looks for trainings that no job wants any more."""
LAPSED_S = 0.02
"""So long after its end a lease has run out for certain."""
WORKERS_S = 2.0
"""Seconds between two writings of the workers seen."""
_NEWS_ONLY = (EpochReported, PopulationLogged)
"""Events after which a job has no more to do than before: they give it no turn of its own."""
IDLE_S = 1.0
"""Longest wait of a dispatcher that leads nothing, where it can see that nobody writes."""
IDLE_WORKERS_S = 5.0
"""The same as WORKERS_S, of one that leads nothing; ``no_place`` waits three times as long."""

log = structlog.get_logger("s2e.dispatcher")


class Dispatcher:
    """Takes the lease of every job without a dispatcher, and advances its jobs until told to stop."""

    def __init__(
        self,
        database: Database,
        backend: TrialBackend,
        *,
        lease_s: float = 4.0,
        poll_s: float = 0.2,
        max_attempts: int = 3,
        stall_s: float = STALL_S,
        owner_trials: int = 0,
        keep_trainers: bool = False,
        owner: str = "",
        heartbeat: Heartbeat | None = None,
        rest: Rest | None = None,
    ) -> None:
        self.owner = owner or new_owner()
        self._keep_trainers = keep_trainers
        self._database = database
        self._watch = database.watch()
        self._backend: TrialBackend = GuardedBackend(backend)
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._orchestrator = Orchestrator(
            database, self._backend, self.owner, max_attempts, stall_s=stall_s, owner_trials=owner_trials
        )
        self.heartbeat = heartbeat or Heartbeat(database, self.owner, lease_s)
        self._neighbours = Neighbours(database, self.owner)
        self._led: set[str] = set()
        self._turns = Turns()
        self._told: list[Event] = []
        """Events that the backend told and the database does not have yet."""
        self._away = False
        self._stepped_s = time.monotonic()
        """End of the last step."""
        self._claim_at_s = 0.0
        """Until then a lease that has run out is left to who had it."""
        self._lapse_at_s = math.inf
        """The first lease of another runs out then, unless it is renewed: one that stands by looks at that moment."""
        self._errors: Counter[str] = Counter()
        self._rest = rest
        self._led_s = time.monotonic()
        """Time at which it last led a job."""
        self.places: list[WorkerInfo] = []
        """Those of the backend, as last recorded."""
        self._workers_at_s = 0.0
        self._visit_at_s = 0.0
        self._sweep_at_s = time.monotonic() + SWEEP_S

    def run(self, stop: threading.Event) -> bool:
        """Work until ``stop`` is set, or until the backend may rest: True then. Let go of everything in order."""
        rests = False
        log.info("dispatcher started", owner=self.owner)
        self.heartbeat.works()
        self.heartbeat.start()
        try:
            while not (stop.is_set() or rests):
                began_s = time.monotonic()
                try:
                    n_events = self.step()
                except OUTAGES as error:
                    self._wait_out(error, stop)
                    continue
                if n_events == 0 and not self._turns.pressing:  # a backend that has nothing to wait for answers at once
                    self._wait(stop, began_s)
                rests = self._may_rest()
        finally:
            self.close()
            with suppress(*OUTAGES):
                self.heartbeat.stop(comes_back=rests)
        return rests

    def _may_rest(self) -> bool:
        """True if there was nothing to do for as long as the backend waits for work."""
        if self._led:
            self._led_s = time.monotonic()
        rest = self._rest
        return rest is not None and time.monotonic() - self._led_s >= rest.after_s and not rest.is_on()

    def _wait(self, stop: threading.Event, began_s: float) -> None:
        """Until the next step: one that leads nothing has nothing to do before somebody writes."""
        now_s = time.monotonic()
        wait_s = max(0.0, min(self._poll_s, self._lapse_at_s - began_s) - (now_s - began_s))
        while not self._watch.wait(wait_s, stop):
            now_s = time.monotonic()
            if self._led or self._watch.changed() or now_s >= min(began_s + IDLE_S, self._lapse_at_s):
                return
            wait_s = max(0.0, min(self._poll_s, self._lapse_at_s - now_s))

    def _wait_out(self, error: Exception, stop: threading.Event) -> None:
        """While the database is away, what trains goes on and its events are kept; only an error of ours passes."""
        reason = reason_of(error)
        if reason is None:
            raise error
        log.warning("the database is away", reason=reason, jobs=len(self._led), events_kept=len(self._told))
        self._away = True
        if time.monotonic() - self._stepped_s >= self._lease_s / 2:
            # Leases ran out meanwhile, of dispatchers that live: whoever leads a job gets the time to renew its own.
            # A job that nobody leads, such as a new one, need not wait for that.
            self._claim_at_s = time.monotonic() + self._lease_s
        stop.wait(min(self._lease_s / 3, AWAY_S))

    def step(self) -> int:
        """One pass over leases, events and jobs; the number of events of the backend."""
        self.heartbeat.beat_if_due()
        for job_id in self.heartbeat.take_lost() & self._led:
            log.warning("lease lost", job=job_id)
            self._leave(job_id)
        self._record()  # what an outage kept from being written: asking the backend for more says that it was
        self._claim()
        self.heartbeat.leads(self._led)
        events = self._backend.poll(self._poll_s if self._led and not self._turns.pressing else 0.0)
        self._told += events
        self._record()
        self._reconcile()
        if self._led:
            self._look()
        for job_id in self._turns.take(self._has_room, Counter(key.job_id for key in self._backend.running())):
            with self._guard(job_id):
                self._advance(job_id)
        self._record_workers()
        self.heartbeat.leads(self._led)
        self._stepped_s = time.monotonic()
        return len(events)

    def close(self) -> None:
        """Stop the trainings, or leave them for others, as the settings say, and release the jobs at once."""
        led = sorted(self._led)
        for job_id in led:
            (self._leave if self._keep_trainers else self._drop)(job_id)
        with suppress(BackendAwayError):
            self._backend.close()
        if led:
            # A database that is away keeps no other dispatcher waiting for longer than a lease.
            with suppress(*OUTAGES), self._database.write() as session:
                leases.release_leases(session, self.owner, led)
        log.info("dispatcher stopped", owner=self.owner, released=led)

    def _claim(self) -> None:
        self._neighbours.look()
        run_out = time.monotonic() >= self._claim_at_s
        with self._database.read() as session:
            # A lease of ours that ran out while a poll took long is renewed, not claimed.
            claimable = leases.claimable_jobs(session, CLAIMS + len(self._led), run_out=run_out)
            lapse_s = None if self._led else leases.next_lapse_s(session)
        self._lapse_at_s = math.inf if lapse_s is None or lapse_s <= 0.0 else time.monotonic() + lapse_s + LAPSED_S
        for job_id in [job_id for job_id in claimable if job_id not in self._led][:CLAIMS]:
            with self._database.write() as session:
                taken = leases.acquire_lease(session, job_id, self.owner, self._lease_s)
            if taken:
                log.info("job taken", job=job_id)
                self._led.add(job_id)
                self.heartbeat.leads(self._led)
                self._turns.wake(job_id)
                with self._guard(job_id):
                    self._orchestrator.take_over(job_id)

    def _record(self) -> None:
        """Write down the backend's events; they are forgotten only once they are written."""
        for job_id, of_job in _by_job(self._told).items():
            if job_id in self._led:
                with self._guard(job_id):
                    self._orchestrator.record(job_id, of_job)
                    if not all(isinstance(event, _NEWS_ONLY) for event in of_job):
                        self._turns.wake(job_id)
            self._told = [event for event in self._told if event.key.job_id != job_id]

    def _reconcile(self) -> None:
        """After an outage the last transaction may or may not have been committed: go on from the database."""
        if not self._away:
            return
        for job_id in sorted(self._led):
            with self._guard(job_id):
                self._orchestrator.reconcile(job_id)
                self._turns.wake(job_id)
        self._away = False

    def _look(self) -> None:
        """Notice changes of the led jobs by others: users, and external trainers, whose leases also end."""
        with self._database.read() as session:
            states = leases.led_states(session, self.owner)
        for job_id, job in states.items():
            self._turns.claim(job_id, Claim(job.owner, job.priority))
        self._turns.see({job_id: state for job_id, state in states.items() if job_id in self._led})
        if time.monotonic() >= self._visit_at_s:
            self._visit_at_s = time.monotonic() + VISIT_S
            for job_id in self._led:
                self._turns.wake(job_id)
        if time.monotonic() >= self._sweep_at_s:
            self._sweep_at_s = time.monotonic() + SWEEP_S
            for job_id in sorted(self._led):
                with self._guard(job_id):
                    self._orchestrator.sweep(job_id)

    def _has_room(self, job_id: str) -> bool:
        with self._guard(job_id):
            return self._orchestrator.room(job_id) > 0
        return False  # it raised, and the job is no longer led

    def _advance(self, job_id: str) -> None:
        step = self._orchestrator.turn(job_id)
        if step is Step.STARTED:
            self._turns.started(job_id)
        if step in (Step.LATER, Step.STARTED):
            self._turns.wake(job_id)
        elif step is Step.FULL:
            self._turns.wait_for_place(job_id)
        elif step is Step.DONE:
            with self._database.write() as session:
                leases.release_leases(session, self.owner, [job_id])
            log.info("job left", job=job_id)
            self._drop(job_id)

    @contextmanager
    def _guard(self, job_id: str) -> Iterator[None]:
        """Keep the trouble of one job to that job; a database that is away is everybody's trouble and passes."""
        try:
            yield
        except LeaseLostError as error:
            log.warning("lease lost", job=job_id, detail=str(error))
            self._leave(job_id)
        except BackendAwayError as error:  # not the job's fault, however often
            log.warning("backend away", job=job_id, detail=str(error))
            with suppress(LeaseLostError):
                self._orchestrator.block(job_id, f"the backend does not answer: {error}")
            self._leave(job_id)  # the lease is the pause before the next try
        except S2EError as error:  # the job itself is at fault, another try would end the same way
            self._fail(job_id, error)
        except Exception as error:
            if reason_of(error) is not None:
                raise
            log.exception("job raised an unexpected error", job=job_id)
            self._errors[job_id] += 1
            if self._errors[job_id] >= MAX_ERRORS:
                self._fail(job_id, error)
            else:
                self._leave(job_id)  # the lease stays ours until it runs out: that is the pause before the next try

    def _fail(self, job_id: str, error: Exception) -> None:
        log.error("job failed", job=job_id, error=type(error).__name__, detail=str(error))
        try:
            self._orchestrator.fail(job_id, f"{type(error).__name__}: {error}")
        except LeaseLostError:
            log.warning("lease lost", job=job_id)
        self._drop(job_id)

    def _drop(self, job_id: str) -> None:
        """Nothing of the job is to train any more."""
        self._led.discard(job_id)
        self._turns.forget(job_id)
        with suppress(BackendAwayError):  # what cannot be told to stop is fenced off by its attempt
            self._orchestrator.drop(job_id)

    def _leave(self, job_id: str) -> None:
        """The job's next leader attaches to its trainings."""
        self._led.discard(job_id)
        self._turns.forget(job_id)
        with suppress(BackendAwayError):
            self._orchestrator.leave(job_id)

    def _record_workers(self) -> None:
        if time.monotonic() < self._workers_at_s:
            return
        self.places = self._backend.workers()
        with self._database.write() as session:
            breaker = self._orchestrator.breaker
            quarantined = breaker.quarantined() if self._led else None
            leases.record_workers(session, self.places, quarantined, breaker.circuits(), self.owner)
        self._workers_at_s = time.monotonic() + (WORKERS_S if self._led else IDLE_WORKERS_S)


def _by_job(events: Iterable[Event]) -> dict[str, list[Event]]:
    """The events of each job, in order."""
    by_job: dict[str, list[Event]] = {}
    for event in events:
        by_job.setdefault(event.key.job_id, []).append(event)
    return by_job
