"""Placing the populations of a job: is there room, what is in the way, and which of them have gone silent?"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from s2e.words import Population, replace
from service.dispatch.breaker import ALL_PLACES
from service.dispatch.known import InFlight, KnownJob
from service.dispatch.lead import Lead
from service.dispatch.places import capacity, share
from service.logs import about
from service.store import quotas, repository
from workers.backend import STALLED, PopulationKey, PopulationLost, WorkerInfo
from workers.program import program_of

PLACES_S = 0.1
log = logging.getLogger("s2e.populations")


def ids(key: PopulationKey) -> dict[str, object]:
    """The fields by which the log names a try at a population."""
    return {"job": key.job_id, "round": key.round, "population": key.group, "attempt": key.attempt}


class Placing:
    """Gives populations to the backend, and blocks the jobs that no place can train."""

    def __init__(self, lead: Lead) -> None:
        self._lead = lead
        self._workers: list[WorkerInfo] = []
        self._places_until_s = 0.0

    def room(self, job_id: str) -> int:
        """Number of populations of a job that may be started now: one for each free place, and one more so that no
        place waits for us; one where a program that waits takes it along. All jobs share the places, so the populations
        of all of them count, but those that ride on another's place."""
        lead, known = self._lead, self._lead.recall(job_id)
        plan, workers = known.spec.plan, self._places()
        seated = lead.backend.running() - lead.backend.riders()
        used = sum(share(lead.recall(key.job_id).spec.plan, plan, workers) for key in seated)
        free = capacity(self._open(job_id, known, workers), plan) - math.ceil(used)
        return free if free > 0 else int(self._may_ride(known))

    def _open(self, job_id: str, known: KnownJob, workers: list[WorkerInfo]) -> list[WorkerInfo]:
        """The places as they are for a job: where a circuit is shut there is no more room than what trains there has,
        and for one more where somebody may try."""
        breaker, threads = self._lead.breaker, known.spec.plan.threads
        to_try, shut = breaker.to_try(job_id, known.needs), breaker.shut(job_id, known.needs)
        return [
            _limited(worker, worker.busy + (worker.name in to_try), threads)
            if worker.name in shut or worker.name in to_try
            else worker
            for worker in workers
        ]

    def has_room(self, job_id: str, known: KnownJob, population: Callable[[], Population]) -> bool:
        """True if there is a place for a job's next ``population``, or a program that takes it along; it is only made
        where that has to be known."""
        if self.room(job_id) > 0:
            return True
        if self._lead.backend.open_programs():
            known.following = program_of(population()), len(population().trials)
        return self._may_ride(known)

    def _may_ride(self, known: KnownJob) -> bool:
        program, n_trials = known.following
        return n_trials <= self._lead.backend.open_programs().get(program, -1)

    def is_full(self, job_id: str, known: KnownJob) -> bool:
        """True if nothing of the job can be started now."""
        return self.room(job_id) <= 0 or self.is_held_up(job_id, known)

    def is_held_up(self, job_id: str, known: KnownJob) -> bool:
        """True if nothing of the job can be started now, though there is room."""
        return self._is_over_quota(known) or self._is_obstructed(job_id, known)

    def give(self, known: KnownJob, key: PopulationKey, population: Population, *, check: bool = False) -> None:
        """Start a population."""
        known.in_flight[key] = InFlight(population)
        ks = [trial.k for trial in population.trials]
        log.info("checked" if check else "given", extra=about(**ids(key), ks=ks))
        avoid = self._lead.breaker.tries(key, known.needs)
        self._lead.backend.start(key, population, avoid=avoid, check=check)

    def pause(self, known: KnownJob) -> None:
        """Let everything of a job stop at its next epoch, with a checkpoint to go on from."""
        for key, flight in known.in_flight.items():
            if not flight.pausing:
                flight.pausing = True
                self._lead.backend.pause(key)

    def watch(self, job_id: str, known: KnownJob) -> None:
        """Block the job if everything it has under way is held."""
        if known.in_flight and all(flight.held for flight in known.in_flight.values()):
            self._block(job_id, known, next(iter(known.in_flight.values())).held)

    def give_up_silent(self, known: KnownJob, stall_s: float) -> list[PopulationLost]:
        """Stop populations that began and have been silent for ``stall_s``, and report them as lost."""
        until_s = self._lead.breaker.now_s() - stall_s
        silent = [key for key, flight in known.in_flight.items() if flight.place and flight.seen_s <= until_s]
        for key in silent:
            self._lead.backend.cancel(key)
        reason = f"it said nothing for {stall_s:g} s"
        return [PopulationLost(key, reason, True, STALLED, known.in_flight[key].place) for key in silent]

    def _is_over_quota(self, known: KnownJob) -> bool:
        """True if the owner has as many trials under way as one may have; one population is never too much."""
        most = self._lead.owner_trials
        if not most:
            return False
        with self._lead.database.read() as session:
            n = quotas.trials_under_way(session, known.owner)
        return n > 0 and n + known.spec.plan.population > most

    def _is_obstructed(self, job_id: str, known: KnownJob) -> bool:
        """True if nothing of the job can be started now; it is blocked then, unless something of it still gets on."""
        lead, plan = self._lead, known.spec.plan
        shut = lead.breaker.shut(job_id, known.needs)
        lacks = lead.backend.lacks(plan)
        is_shut = ALL_PLACES in shut or (bool(shut) and bool(lead.backend.lacks(plan, frozenset(shut))))
        if not lacks and not is_shut and not lead.breaker.waits(job_id):
            if known.lacking:
                known.lacking = False
                with lead.database.write() as session:
                    repository.unblock_job(session, job_id, lead.owner)
            return False
        trouble = lead.breaker.trouble(job_id)
        if is_shut and not trouble:
            trouble = shut.get(ALL_PLACES) or "; ".join(
                f"{place} is quarantined: {reason}" for place, reason in sorted(shut.items())
            )
        self._block(job_id, known, lacks or trouble, lacking=bool(lacks))
        return True

    def _block(self, job_id: str, known: KnownJob, reason: str, *, lacking: bool = False) -> None:
        if not reason or any(not flight.held for flight in known.in_flight.values()):
            return
        known.lacking = lacking
        self._lead.block(job_id, reason)

    def _places(self) -> list[WorkerInfo]:
        """The places there are; every job asks for them in turn, but they are counted only now and then."""
        if time.monotonic() >= self._places_until_s:
            self._workers, self._places_until_s = self._lead.backend.workers(), time.monotonic() + PLACES_S
        return self._workers


def _limited(worker: WorkerInfo, most: int, threads: int) -> WorkerInfo:
    """A place with room for ``most`` populations."""
    return replace(worker, cpus=min(worker.cpus, float(most * threads)), gpus=min(worker.gpus, float(most)))
