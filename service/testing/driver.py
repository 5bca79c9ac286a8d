"""One job advanced by hand, as a dispatcher would, for tests of the dispatcher's steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select

from s2e.door import parse_job
from s2e.words import Report, read
from service.dispatch.breaker import Breaker
from service.dispatch.orchestrator import Orchestrator
from service.store import leases, repository, rounds
from service.store.engine import Database
from service.store.models import Job, JobReport, Trial
from workers.backend import TrialBackend
from workers.simulated import SimulatedBackend

OWNER = "test:1"


class Driver:
    """Advances one job in one process, event by event, on a clock of its own: ``step_s`` a step."""

    step_s = 1.0

    def __init__(self, database: Database, search: Any, **backend: Any) -> None:
        self.database = database
        self.backend = SimulatedBackend(backend.pop("evaluate", search.evaluate), n_workers=2, **backend)
        self.now_s = 0.0
        breaker = Breaker(lambda: self.now_s)
        self.orchestrator = Orchestrator(database, self.backend, OWNER, max_attempts=2, breaker=breaker)
        with database.write() as session:
            self.job_id, _ = repository.create_job(session, search.spec)
            leases.acquire_lease(session, self.job_id, OWNER, 600)
        self.orchestrator.take_over(self.job_id)

    def step(self) -> bool:
        """Advance the job by ``step_s``; True once a dispatcher has nothing more to do."""
        self.now_s += self.step_s
        self.orchestrator.record(self.job_id, self.backend.poll())
        return self.orchestrator.advance(self.job_id)

    def run(self, until: Callable[[], object] = lambda: False) -> None:
        """Step until a dispatcher has nothing more to do, or ``until``."""
        for _ in range(500):
            if self.step() or until():
                return
        raise AssertionError("the job does not end")

    def verb(self, function: Callable[..., None]) -> None:
        with self.database.write() as session:
            function(session, self.job_id)

    def job(self) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, self.job_id)

    def trial_states(self) -> dict[str, int]:
        """Number of trials in each state."""
        with self.database.read() as session:
            return dict(session.execute(select(Trial.state, func.count()).group_by(Trial.state)).all())

    def report(self) -> Report:
        with self.database.read() as session:
            return read(Report, session.get_one(JobReport, self.job_id).report)

    def history(self) -> list[Any]:
        with self.database.read() as session:
            return rounds.load_history(session, self.job_id)


def trained(database: Database, backend: TrialBackend, job: dict[str, Any]) -> Job:
    """A job from its plain JSON, trained to its end by ``backend`` in this process."""
    with database.write() as session:
        job_id, _ = repository.create_job(session, parse_job(job))
    with database.write() as session:
        leases.acquire_lease(session, job_id, OWNER, 3600)
    orchestrator = Orchestrator(database, backend, OWNER)
    orchestrator.take_over(job_id)
    for _ in range(1_000):
        orchestrator.record(job_id, backend.poll())
        if orchestrator.advance(job_id):
            with database.read() as session:
                return session.get_one(Job, job_id)
    raise AssertionError("the job does not end")
