"""The check of a job on a worker, before anything is asked: one population of each kind, a few steps of each."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from itertools import count

from s2e.calibrate import needs_plan
from s2e.jobs import loop
from s2e.prepare import informed, provisional
from s2e.sizes import needs_sizes, with_sizes
from s2e.words import JobSpec, PlanChoice, PlanSpec, Population, Sizes, replace
from service.dispatch.known import KnownJob, of_each_kind, to_check
from service.dispatch.lead import Lead
from service.dispatch.places import capacity
from service.dispatch.placing import Placing
from service.dispatch.step import Step
from service.store import repository, rounds
from workers.backend import PopulationChecked, PopulationKey

CHECK = -1
"""The round of a population that is only checked."""


class Checking:
    """Lets workers see whether jobs can be trained."""

    def __init__(self, lead: Lead, placing: Placing) -> None:
        self._lead = lead
        self._placing = placing
        self._n_checks = count(secrets.randbits(40))  # checks have no attempt in the database that tells them apart

    def step(self, job_id: str, known: KnownJob) -> Step:
        """Start the next check of a job that has none under way."""
        if not known.checks:
            n_machines = max(1, len(self._lead.backend.workers()))
            known.checks = to_check(known.spec, self._first(job_id, provisional(known.spec)), n_machines)
        if self._placing.is_full(job_id, known):
            return Step.FULL
        key = PopulationKey(job_id, CHECK, 0, next(self._n_checks))
        self._placing.give(known, key, known.checks[0], check=True)
        return Step.WAIT  # no start: who was only checked still comes before all that have trained

    def _first(self, job_id: str, spec: JobSpec) -> Sequence[Population]:
        """The populations of the job's first round."""
        first = loop.next_round(spec, ())
        assert first is not None
        with self._lead.database.read() as session:
            most = rounds.most_in_population(session, job_id)
        return loop.populations(spec, first, most)

    def passed(self, job_id: str, known: KnownJob, checked: PopulationChecked, place: str) -> None:
        """One population can be trained at ``place``; when all can, the job runs."""
        assert known.checks
        estimate, plan = replace(checked.estimate, place=place), checked.plan
        if needs_sizes(known.spec):
            self._size(job_id, known, checked.sizes)
            return
        if needs_plan(known.spec):
            self._plan(job_id, known, plan or _unmeasured(known.spec.plan, estimate.place))
            return
        lead, rest = self._lead, known.checks[1:]
        if (spec := informed(known.spec, estimate)) != known.spec:
            with lead.database.write() as session:
                repository.know_data(session, job_id, lead.owner, spec.data)
            known.spec = spec
            rest = [replace(population, data=known.spec.data) for population in rest]
            if spec.data.unestimated:  # what needs the noise's matrix is left out
                rest = of_each_kind(self._first(job_id, spec))
        if not rest:
            places = capacity(lead.backend.workers(), known.spec.plan) - 1
            n_populations = -(-loop.n_trials(known.spec) // known.spec.plan.population)
            job_s = estimate.epoch_s * known.spec.train.n_epochs * -(-n_populations // places)
            with lead.database.write() as session:
                repository.start_job(session, job_id, lead.owner, replace(estimate, job_s=job_s))
        known.checks = rest  # once it is written: an event comes again after an outage

    def _size(self, job_id: str, known: KnownJob, sizes: Sizes | None) -> None:
        """A worker has looked at the data: their sizes are the job's from now on, and the checks begin with them."""
        spec = with_sizes(known.spec, sizes)
        with self._lead.database.write() as session:
            repository.know_sizes(session, job_id, self._lead.owner, spec)
        known.spec, known.checks = spec, None

    def _plan(self, job_id: str, known: KnownJob, plan: PlanSpec) -> None:
        """A worker has chosen the plan: it is the job's from now on, and the checks begin with it."""
        with self._lead.database.write() as session:
            repository.know_plan(session, job_id, self._lead.owner, plan)
        known.spec, known.checks = replace(known.spec, plan=plan), None

    def was_too_large(self, job_id: str, known: KnownJob, n_trials: int) -> None:
        """A population of ``n_trials`` found too little memory: populations are half as large from now on."""
        with self._lead.database.write() as session:
            repository.halve_check(session, job_id, self._lead.owner, -(-n_trials // 2))
        known.checks = None


def _unmeasured(plan: PlanSpec, place: str) -> PlanSpec:
    """The job's own plan, where a place cannot tell what it does fastest."""
    return replace(plan, chosen=PlanChoice(place, fallbacks=("measured plan: this place trains nothing real",)))
