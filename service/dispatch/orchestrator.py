"""A job as a chain of small transactions: the ask/tell loop of ``s2e.jobs.loop``, one durable step at a time.

    poll the backend -> record its events -> if the round is complete: next round from the stored history -> start it

A process killed between two arrows loses nothing that was written: the next takes the lease, attaches to populations
that train on without a dispatcher, puts back those that are gone (:meth:`Orchestrator.take_over`) and goes on from the
rows. The next step is a pure function of them. The steps have modules of their own: ``checking`` (before round 0),
``placing`` (the place of a population), ``asking`` (the next round, the report).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from s2e.words import Population
from s2e.words.states import JOB_ENDED, TRIAL_IN_FLIGHT
from service.dispatch import asking, budgets
from service.dispatch.breaker import Breaker
from service.dispatch.checking import CHECK, Checking
from service.dispatch.known import InFlight, KnownJob
from service.dispatch.lead import Lead
from service.dispatch.placing import Placing, ids
from service.dispatch.step import Step
from service.logs import about
from service.store import external, populations, repository, rounds, trial_logs
from service.store.changes import lock_job
from service.store.engine import Database
from service.store.rounds import JobStatus
from workers.backend import (
    OUT_OF_MEMORY,
    PAUSED,
    EpochReported,
    Event,
    PopulationChecked,
    PopulationFinished,
    PopulationHeld,
    PopulationKey,
    PopulationLogged,
    PopulationLost,
    PopulationStarted,
    TrialBackend,
)

log = logging.getLogger("s2e.populations")
STALL_S = 3600.0
"""A population that began and says nothing for this long is lost."""


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
        owner_trials: int = 0,
    ) -> None:
        self._database = database
        self._backend = backend
        self._owner = owner
        self._max_attempts = max_attempts
        self._stall_s = stall_s
        self.breaker = breaker or Breaker()
        self._lead = Lead(database, backend, owner, self.breaker, owner_trials)
        self._placing = Placing(self._lead)
        self._checking = Checking(self._lead, self._placing)
        self.leave = self._lead.leave
        self.drop = self._lead.drop
        self.fail = self._lead.fail
        self.block = self._lead.block
        self.room = self._placing.room

    def take_over(self, job_id: str) -> None:
        """Begin to lead a job: attach, by attempt, to populations that another dispatcher or a failed step of ours has
        started; put back those that are gone, and stop those that nobody wants any more."""
        self.leave(job_id)
        if not self._lead.is_ours(job_id):  # what others train goes on without a dispatcher
            return
        places = self._backend.attach(job_id)
        with self._database.write() as session:
            wanted = populations.under_way(session, job_id, places)
            here = {(key.round, key.group) for key in wanted}
            populations.orphan_populations(session, job_id, self._owner, "its dispatcher went away", under_way=here)
        for key in places:
            if key not in wanted:
                self._backend.cancel(key)
        if wanted:
            self._attach(job_id, {key: places[key] for key in wanted})

    def _attach(self, job_id: str, places: Mapping[PopulationKey, str]) -> None:
        known, now_s = self._lead.remember(job_id), self.breaker.now_s()
        with self._database.read() as session:
            m = rounds.job_status(session, job_id).n_rounds - 1
            known.take(rounds.load_round(session, job_id, m))
            known.groups = rounds.load_groups(session, job_id, m)
        for key, place in places.items():
            known.in_flight[key] = InFlight(known.population(key.group), place, seen_s=now_s, began_s=now_s)

    def sweep(self, job_id: str) -> None:
        """Stop populations of a job under an attempt that is not ours: a frozen dispatcher may have started them after
        it lost the lease."""
        if self._lead.is_ours(job_id):
            for key in self._backend.attach(job_id):
                self._backend.cancel(key)

    def reconcile(self, job_id: str) -> None:
        """After an outage, put back populations that were leased but never started here, because the database's answer
        was lost. The others train on."""
        if self._lead.is_ours(job_id):
            here = {(key.round, key.group) for key in self._backend.running() if key.job_id == job_id}
            with self._database.write() as session:
                reason = "the database was away"
                populations.orphan_populations(session, job_id, self._owner, reason, under_way=here)

    def record(self, job_id: str, events: Iterable[Event]) -> None:
        """Write down everything one poll brought about one job, in one transaction."""
        events, known = list(events), self._lead.known(job_id)
        logged = [event for event in events if isinstance(event, PopulationLogged)]
        trained = [event for event in events if event.key.round != CHECK and not isinstance(event, PopulationLogged)]
        with self._database.write() as session:
            populations.record_events(session, job_id, self._owner, trained, self._max_attempts)
            trial_logs.record(session, job_id, logged)
            if known is not None and (took_s := budgets.took_s(known, trained, self.breaker.now_s())):
                repository.spend(session, job_id, took_s)
        if known is not None:
            for event in events:
                self._note(job_id, known, event)

    def _note(self, job_id: str, known: KnownJob, event: Event) -> None:
        """Note the news of an event about a place, or about a check."""
        flight = known.in_flight.get(event.key)
        if flight is None:
            return
        flight.seen_s = self.breaker.now_s()
        if isinstance(event, PopulationLogged):  # whoever is held may say so
            return
        if isinstance(event, PopulationStarted):
            flight.place, flight.began_s, flight.share = event.place, self.breaker.now_s(), event.share
        self._note_of_place(job_id, known, flight, event)
        if isinstance(event, PopulationChecked):
            self._checking.passed(job_id, known, event, flight.place)
        elif isinstance(event, PopulationLost):
            self._lost(job_id, known, event, flight.population)
        if isinstance(event, PopulationFinished | PopulationChecked | PopulationLost):
            del known.in_flight[event.key]
            why = {"reason": event.reason, "cause": event.cause} if isinstance(event, PopulationLost) else {}
            end = type(event).__name__.removeprefix("Population").lower()
            log.info(end, extra=about(**ids(event.key), place=flight.place, **why))

    def _note_of_place(self, job_id: str, known: KnownJob, flight: InFlight, event: Event) -> None:
        """Tell the circuits what an event says of its place."""
        if isinstance(event, PopulationHeld):
            flight.held, flight.held_by = event.reason, event.cause
            self.breaker.held(job_id, event.cause, event.reason, flight.place)
        elif flight.held:
            self.breaker.goes_on(flight.place, flight.held_by)
            flight.held = flight.held_by = ""
        if isinstance(event, PopulationStarted):
            self.breaker.began(event.key, event.place)
        else:
            self.breaker.trained(event.key)
        further = isinstance(event, EpochReported) and known.got_on(event.key, event.epochs[0].epoch)
        if further or isinstance(event, PopulationFinished | PopulationChecked):
            self.breaker.went_well(job_id, flight.place, known.needs)

    def _lost(self, job_id: str, known: KnownJob, event: PopulationLost, population: Population) -> None:
        n_trials, is_check = len(population.trials), event.key.round == CHECK
        if event.retryable and event.cause == OUT_OF_MEMORY and n_trials > 1:
            known.groups = None  # the database has split it
            if is_check:
                self._checking.was_too_large(job_id, known, n_trials)
        elif event.retryable and event.cause != PAUSED:
            known.lost(event.key)
            self.breaker.lost(job_id, event.cause, event.reason, event.place or "", known.needs(event.cause))
        elif is_check:
            self.fail(job_id, event.reason)

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
        if self._lead.is_external(job_id) and self._take_back(job_id):
            return Step.AGAIN
        if status.state == "paused":
            self._placing.pause(self._lead.recall(job_id))
            return Step.WAIT if status.in_state(*TRIAL_IN_FLIGHT) else Step.DONE
        if status.stop:
            return asking.end_early(self._lead, job_id, status.stop)
        if reason := budgets.used_up(self._lead.recall(job_id), status, self.breaker.now_s()):
            return self._stop(job_id, reason)
        return self._go_on(job_id, status)

    def _go_on(self, job_id: str, status: JobStatus) -> Step:
        """The next step of a job that nothing holds up: check it, train what is pending, ask for the next round."""
        in_flight, pending = status.in_state(*TRIAL_IN_FLIGHT), status.in_state("pending")
        is_external = self._lead.is_external(job_id)
        if pending and is_external:
            return Step.WAIT
        if not status.checked and not is_external:
            return self._check(job_id)
        if pending and (step := self._start(job_id, status)) is not Step.FULL:
            return step
        if not in_flight and not pending:
            return asking.ask(self._lead, job_id, status.n_rounds)
        self._watch(job_id)
        return Step.FULL if pending else Step.WAIT

    def _cancel(self, job_id: str) -> Step:
        self.drop(job_id)
        with self._database.write() as session:
            repository.finish_cancel(session, job_id, self._owner)
        return Step.DONE

    def _stop(self, job_id: str, reason: str) -> Step:
        """A budget is used up: nothing more of the job is trained."""
        self.drop(job_id)
        with self._database.write() as session:
            repository.stop_job(session, job_id, self._owner, reason)
        return Step.AGAIN

    def _begin(self, job_id: str, status: JobStatus) -> Step:
        runs = status.checked or self._lead.is_external(job_id)
        begin = repository.start_job if runs else repository.check_job_first
        with self._database.write() as session:
            begin(session, job_id, self._owner)
        return Step.AGAIN

    def _check(self, job_id: str) -> Step:
        """Let a worker see whether the job can be trained, before anything is asked."""
        known = self._lead.recall(job_id)
        if known.in_flight:
            self._watch(job_id)
            return Step.WAIT
        return self._checking.step(job_id, known)

    def _start(self, job_id: str, status: JobStatus) -> Step:
        """Lease a pending population, if there is a place for it, and give it to the backend."""
        known = self._lead.remember(job_id)
        m, pending = status.n_rounds - 1, status.in_state("pending")

        def following() -> Population:
            self._load(job_id, known, m)
            return known.population(pending[0])

        if not self._placing.has_room(job_id, known, following) or self._placing.is_held_up(job_id, known):
            return Step.FULL
        self._load(job_id, known, m)
        with self._database.write() as session:
            keys = populations.lease_populations(session, job_id, self._owner, m, pending[:1])
        for key in keys:
            self._placing.give(known, key, known.population(key.group))
        return Step.STARTED if keys else Step.AGAIN  # no keys: a user has moved the job meanwhile

    def _load(self, job_id: str, known: KnownJob, m: int) -> None:
        """Read round m and its groups, as far as they are not known."""
        if known.round is not None and known.round.index == m and known.groups is not None:
            return
        with self._database.read() as session:
            if known.round is None or known.round.index != m:
                known.take(rounds.load_round(session, job_id, m))
            known.groups = rounds.load_groups(session, job_id, m)

    def _watch(self, job_id: str) -> None:
        """Give up populations that are silent for too long, and name the obstacle of the rest."""
        known = self._lead.recall(job_id)
        if lost := self._placing.give_up_silent(known, self._stall_s):
            self.record(job_id, lost)
        self._placing.watch(job_id, known)

    def _take_back(self, job_id: str) -> bool:
        """Put back external trials whose lease ran out; True if there were any."""
        with self._database.read() as session:
            if not external.has_expired(session, job_id):
                return False
        with self._database.write() as session:
            external.expire_leases(session, lock_job(session, job_id, self._owner), self._max_attempts)
        return True
