"""A job as a chain of small transactions: the ask/tell loop of ``s2e.jobs.loop``, one durable step at a time.

    poll the backend -> record its events -> if the round is complete: next round from the stored history -> start it

Whoever is killed between two arrows has lost nothing that was written: the next process takes the lease, puts back what
was under way (:meth:`Orchestrator.take_over`) and goes on from the rows. What comes next is a pure function of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from enum import Enum
from itertools import count

from s2e.jobs import loop
from s2e.prepare import informed, provisional
from s2e.words import Estimate, Population, Round, UnreadableError, replace
from s2e.words.states import JOB_ENDED, TRIAL_IN_FLIGHT
from service.dispatch.breaker import Breaker
from service.dispatch.known import InFlight, KnownJob, to_check
from service.dispatch.places import capacity, share
from service.store import external, populations, repository, rounds
from service.store.changes import lock_job
from service.store.engine import Database
from service.store.rounds import JobStatus
from workers.backend import (
    OUT_OF_MEMORY,
    Event,
    PopulationChecked,
    PopulationFinished,
    PopulationHeld,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
    TrialBackend,
    WorkerInfo,
)

CELLS = 50_000
"""Epochs of schedules that one transaction writes: it has the lock for tens of milliseconds."""
MOST_KNOWN = 256
"""Jobs whose rounds are kept in memory."""
PLACES_S = 0.1
STALL_S = 3600.0
"""A population that began and says nothing for this long is lost."""
CHECK = -1
"""The round of a population that is only checked."""


class Step(Enum):
    """Outcome of one step of a job."""

    AGAIN = "something was written; another step may follow at once"
    LATER = "something was written and more is to come, after the other jobs had their turn"
    STARTED = "a population was started; the other jobs come first now"
    FULL = "populations wait for a place"
    WAIT = "the backend has to report first"
    DONE = "nothing is left to do for a dispatcher"


class Orchestrator:
    """Advances the jobs that ``owner`` holds the lease of. Every method may raise LeaseLostError."""

    def __init__(
        self,
        database: Database,
        backend: TrialBackend,
        owner: str,
        max_attempts: int = 3,
        breaker: Breaker | None = None,
        stall_s: float = STALL_S,
    ) -> None:
        self._database = database
        self._backend = backend
        self._owner = owner
        self._max_attempts = max_attempts
        self.breaker = breaker or Breaker()
        self._stall_s = stall_s
        self._known: dict[str, KnownJob] = {}
        self._recent: dict[str, None] = {}
        self._n_checks = count(1)
        self._workers: list[WorkerInfo] = []
        self._places_until_s = 0.0

    def take_over(self, job_id: str) -> None:
        """Begin to lead a job: what was under way in other hands, or in a failed step of ours, is put back."""
        self.drop(job_id)
        if self._is_ours(job_id):  # what others train goes on without a dispatcher
            with self._database.write() as session:
                populations.orphan_populations(session, job_id, self._owner, "its dispatcher went away")

    def reconcile(self, job_id: str) -> None:
        """After an outage: what was leased but never started here, because the answer was lost, is put back. What
        trains goes on."""
        if self._is_ours(job_id):
            here = {(key.round, key.group) for key in self._backend.running() if key.job_id == job_id}
            with self._database.write() as session:
                reason = "the database was away"
                populations.orphan_populations(session, job_id, self._owner, reason, under_way=here)

    def drop(self, job_id: str) -> None:
        """Stop what the backend does for a job, and forget what is known of it."""
        self._known.pop(job_id, None)
        self._recent.pop(job_id, None)
        self.breaker.forget(job_id)
        for key in self._backend.running():
            if key.job_id == job_id:
                self._backend.cancel(key)

    def record(self, job_id: str, events: Iterable[Event]) -> None:
        """Write down everything one poll brought about one job, in one transaction."""
        events = list(events)
        with self._database.write() as session:
            trained = [event for event in events if event.key.round != CHECK]
            populations.record_events(session, job_id, self._owner, trained, self._max_attempts)
        known = self._known.get(job_id)
        if known is not None:
            for event in events:
                self._note(job_id, known, event)

    def _note(self, job_id: str, known: KnownJob, event: Event) -> None:
        """Keep in mind what an event says of the place, and of a check."""
        flight = known.in_flight.get(event.key)
        if flight is None:
            return
        flight.held = event.reason if isinstance(event, PopulationHeld) else ""
        flight.seen_s = self.breaker.now_s()
        match event:
            case PopulationStarted():
                flight.place = event.place
            case PopulationFinished():
                self.breaker.went_well(job_id, flight.place)
            case PopulationChecked():
                self.breaker.went_well(job_id, flight.place)
                self._checked(job_id, known, replace(event.estimate, place=flight.place))
            case PopulationLost():
                self._lost(job_id, known, event, flight.population)
        if isinstance(event, PopulationFinished | PopulationChecked | PopulationLost):
            del known.in_flight[event.key]

    def _lost(self, job_id: str, known: KnownJob, event: PopulationLost, population: Population) -> None:
        n_trials, is_check = len(population.trials), event.key.round == CHECK
        if event.retryable and event.cause == OUT_OF_MEMORY and n_trials > 1:
            known.groups = None  # the database has split it
            if is_check:
                with self._database.write() as session:
                    repository.halve_check(session, job_id, self._owner, -(-n_trials // 2))
                known.checks = None
        elif event.retryable:
            self.breaker.lost(job_id, event.cause, event.reason, event.place or "")
        elif is_check:
            self.fail(job_id, event.reason)

    def _checked(self, job_id: str, known: KnownJob, estimate: Estimate) -> None:
        """One population can be trained; when all can, the job runs."""
        assert known.checks
        rest = known.checks[1:]
        if (spec := informed(known.spec, estimate)) != known.spec:
            with self._database.write() as session:
                repository.know_data(session, job_id, self._owner, spec.data)
            known.spec = spec
            rest = [replace(population, data=known.spec.data) for population in rest]
        if not rest:
            places = capacity(self._backend.workers(), known.spec.plan) - 1
            n_populations = -(-loop.n_trials(known.spec) // known.spec.plan.population)
            job_s = estimate.epoch_s * known.spec.train.n_epochs * -(-n_populations // places)
            with self._database.write() as session:
                repository.start_job(session, job_id, self._owner, replace(estimate, job_s=job_s))
        known.checks = rest  # once it is written: an event comes again after an outage

    def advance(self, job_id: str) -> bool:
        """Take all steps that are possible now; True when a dispatcher has nothing more to do for the job."""
        while (step := self.turn(job_id)) in (Step.LATER, Step.STARTED):
            pass
        return step is Step.DONE

    def turn(self, job_id: str) -> Step:
        """The steps up to the first after which other jobs come first: a piece of a round, or one population."""
        while (step := self._step(job_id)) is Step.AGAIN:
            pass
        return step

    def room(self, job_id: str) -> int:
        """How many populations of a job may be started now: one for each free place, and one more so that no place
        waits for us. All jobs share the places, so what each of them has under way counts."""
        plan, shut = self._recall(job_id).spec.plan, self.breaker.quarantined()
        workers = [worker for worker in self._places() if worker.name not in shut]
        used = sum(share(self._recall(key.job_id).spec.plan, plan, workers) for key in self._backend.running())
        return capacity(workers, plan) - math.ceil(used)

    def fail(self, job_id: str, reason: str) -> None:
        """End a job that cannot go on."""
        self.drop(job_id)
        with self._database.write() as session:
            repository.fail_job(session, job_id, self._owner, reason)

    def block(self, job_id: str, reason: str) -> None:
        """No place can train the job now."""
        with self._database.write() as session:
            repository.block_job(session, job_id, self._owner, reason)

    def _step(self, job_id: str) -> Step:
        with self._database.read() as session:
            status = rounds.job_status(session, job_id)
        if status.state in JOB_ENDED:
            self.drop(job_id)
            return Step.DONE
        if status.state == "cancelling":
            return self._cancel(job_id)
        if status.state == "queued":
            return self._begin(job_id, status)
        if self._is_external(job_id) and self._take_back(job_id):
            return Step.AGAIN
        in_flight, pending = status.in_state(*TRIAL_IN_FLIGHT), status.in_state("pending")
        if status.state == "paused":
            return Step.WAIT if in_flight else Step.DONE
        if pending and self._is_external(job_id):
            return Step.WAIT
        if not status.checked and not self._is_external(job_id):
            return self._check(job_id)
        if pending and (step := self._start(job_id, status)) is not Step.FULL:
            return step
        if not in_flight and not pending:
            return self._next_round(job_id, status.n_rounds)
        self._watch(job_id)
        return Step.FULL if pending else Step.WAIT

    def _cancel(self, job_id: str) -> Step:
        self.drop(job_id)
        with self._database.write() as session:
            repository.finish_cancel(session, job_id, self._owner)
        return Step.DONE

    def _begin(self, job_id: str, status: JobStatus) -> Step:
        runs = status.checked or self._is_external(job_id)
        begin = repository.start_job if runs else repository.check_job_first
        with self._database.write() as session:
            begin(session, job_id, self._owner)
        return Step.AGAIN

    def _check(self, job_id: str) -> Step:
        """Let a worker see whether the job can be trained, before anything is asked: one population of each kind."""
        known = self._recall(job_id)
        if known.in_flight:
            self._watch(job_id)
            return Step.WAIT
        if not known.checks:
            spec = provisional(known.spec)
            first = loop.next_round(spec, ())
            assert first is not None
            with self._database.read() as session:
                most = rounds.most_in_population(session, job_id)
            known.checks = to_check(known.spec, loop.populations(spec, first, most))
        if self.room(job_id) <= 0 or self._is_obstructed(job_id, known):
            return Step.FULL
        key = PopulationKey(job_id, CHECK, 0, next(self._n_checks))
        self._give(known, key, known.checks[0], check=True)
        return Step.WAIT  # no start: who was only checked still comes before all that have trained

    def _start(self, job_id: str, status: JobStatus) -> Step:
        """Lease a pending population, if there is a place for it, and give it to the backend."""
        known = self._remember(job_id)
        if self.room(job_id) <= 0 or self._is_obstructed(job_id, known):
            return Step.FULL
        m, pending = status.n_rounds - 1, status.in_state("pending")
        if known.round is None or known.round.index != m:
            with self._database.read() as session:
                known.take(rounds.load_round(session, job_id, m))
        with self._database.write() as session:
            keys = populations.lease_populations(session, job_id, self._owner, m, pending[:1])
            if known.groups is None:
                known.groups = rounds.load_groups(session, job_id, m)
        for key in keys:
            self._give(known, key, known.population(key.group))
        return Step.STARTED if keys else Step.AGAIN  # no keys: a user has moved the job meanwhile

    def _give(self, known: KnownJob, key: PopulationKey, population: Population, *, check: bool = False) -> None:
        known.in_flight[key] = InFlight(population)
        self._backend.start(key, population, avoid=frozenset(self.breaker.quarantined()), check=check)

    def _is_obstructed(self, job_id: str, known: KnownJob) -> bool:
        """True if nothing of the job can be started now; it is blocked then, unless something of it still gets on."""
        plan, avoid = known.spec.plan, self.breaker.quarantined()
        lacks = self._backend.lacks(plan)
        is_shut = bool(avoid) and bool(self._backend.lacks(plan, frozenset(avoid)))
        if not lacks and not is_shut and not self.breaker.waits(job_id):
            if known.lacking:
                known.lacking = False
                with self._database.write() as session:
                    repository.unblock_job(session, job_id, self._owner)
            return False
        trouble = self.breaker.trouble(job_id)
        if is_shut and not trouble:
            trouble = "; ".join(f"{place} is quarantined: {why.reason}" for place, why in sorted(avoid.items()))
        self._block(job_id, known, lacks or trouble, lacking=bool(lacks))
        return True

    def _block(self, job_id: str, known: KnownJob, reason: str, *, lacking: bool = False) -> None:
        if not reason or any(not flight.held for flight in known.in_flight.values()):
            return
        known.lacking = lacking
        self.block(job_id, reason)

    def _watch(self, job_id: str) -> None:
        """Give up what is silent for too long; where all that is under way is held, the job is blocked for that."""
        known = self._recall(job_id)
        self._give_up_stalled(job_id, known)
        if known.in_flight and all(flight.held for flight in known.in_flight.values()):
            self._block(job_id, known, next(iter(known.in_flight.values())).held)

    def _give_up_stalled(self, job_id: str, known: KnownJob) -> None:
        """What began and has been silent for too long is lost, as if its place had said so."""
        until_s = self.breaker.now_s() - self._stall_s
        silent = [key for key, flight in known.in_flight.items() if flight.place and flight.seen_s <= until_s]
        for key in silent:
            self._backend.cancel(key)
        if silent:
            reason = f"it said nothing for {self._stall_s:g} s"
            self.record(job_id, [PopulationLost(k, reason, True, "stalled", known.in_flight[k].place) for k in silent])

    def _next_round(self, job_id: str, n_rounds: int) -> Step:
        """All results are there: ask for the next round, or end with the report."""
        known = self._remember(job_id)
        if known.round is None or known.round.index != n_rounds:
            if len(known.history) < n_rounds:
                with self._database.read() as session:
                    known.history += rounds.load_history(session, job_id, first=len(known.history))
            if reason := loop.hopeless(known.history):
                return self._give_up(job_id, reason)
            round_ = loop.next_round(known.spec, known.history)
            if round_ is None:
                return self._finish(job_id, known)
            with self._database.read() as session:
                most = rounds.most_in_population(session, job_id)
            known.take(round_, loop.populations(known.spec, round_, most))
        assert known.round is not None
        return self._write(job_id, known, known.round)

    def _write(self, job_id: str, known: KnownJob, round_: Round) -> Step:
        """The next trials of a round, as many as keep the database's lock for a moment only; with the last of them
        the round is there."""
        last = known.n_written + max(1, CELLS // known.spec.train.n_epochs)
        with self._database.write() as session:
            if last < len(round_.trials):
                rounds.insert_trials(session, job_id, self._owner, round_, known.planned, known.n_written, last)
            else:
                rounds.insert_round(session, job_id, self._owner, known.spec, round_)
        known.n_written = last
        return Step.LATER if last < len(round_.trials) else Step.AGAIN

    def _give_up(self, job_id: str, reason: str) -> Step:
        self.fail(job_id, reason)
        return Step.DONE

    def _finish(self, job_id: str, known: KnownJob) -> Step:
        if reason := loop.nothing_trained(known.history):
            return self._give_up(job_id, reason)
        report = loop.report_of(known.spec, known.history)
        with self._database.write() as session:
            repository.finish_job(session, job_id, self._owner, report)
        return Step.AGAIN

    def _is_ours(self, job_id: str) -> bool:
        """True if the service trains the job; also for one whose spec cannot be read, so that it can be cancelled."""
        try:
            return not self._is_external(job_id)
        except UnreadableError:
            return True

    def _is_external(self, job_id: str) -> bool:
        return self._recall(job_id).spec.trials == "external"

    def _take_back(self, job_id: str) -> bool:
        """Put back external trials whose lease ran out; whether there were any."""
        with self._database.read() as session:
            if not external.has_expired(session, job_id):
                return False
        with self._database.write() as session:
            external.expire_leases(session, lock_job(session, job_id, self._owner), self._max_attempts)
        return True

    def _places(self) -> list[WorkerInfo]:
        """The places there are; asked for by every job in turn, but counted anew only now and then."""
        if time.monotonic() >= self._places_until_s:
            self._workers, self._places_until_s = self._backend.workers(), time.monotonic() + PLACES_S
        return self._workers

    def _recall(self, job_id: str) -> KnownJob:
        if job_id not in self._known:
            with self._database.read() as session:
                self._known[job_id] = KnownJob(rounds.load_spec(session, job_id))
        return self._known[job_id]

    def _remember(self, job_id: str) -> KnownJob:
        """What is known of a job that is about to read its rounds; of many jobs only the last keep theirs."""
        self._recent.pop(job_id, None)
        self._recent[job_id] = None
        if len(self._recent) > MOST_KNOWN:
            oldest = next(iter(self._recent))
            del self._recent[oldest]
            if oldest in self._known:
                self._known[oldest].forget()
        return self._recall(job_id)
