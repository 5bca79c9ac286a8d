"""One dispatcher's tools: database, backend, breaker, and its memory of the jobs that it leads."""

from __future__ import annotations

from s2e.words import UnreadableError
from service.dispatch.breaker import Breaker
from service.dispatch.known import KnownJob
from service.store import repository, rounds
from service.store.engine import Database
from workers.backend import TrialBackend

MOST_KNOWN = 256
"""Jobs whose rounds are kept in memory."""


class Lead:
    """Shared by everything that moves a job: the steps differ, their tools do not."""

    def __init__(
        self, database: Database, backend: TrialBackend, owner: str, breaker: Breaker, owner_trials: int = 0
    ) -> None:
        self.database = database
        self.backend = backend
        self.owner = owner
        self.breaker = breaker
        self.owner_trials = owner_trials
        """Trials of one owner that may be under way; 0: any number."""
        self._known: dict[str, KnownJob] = {}
        self._recent: dict[str, None] = {}

    def recall(self, job_id: str) -> KnownJob:
        """The memory of a job, begun with its spec and owner if there is none."""
        if job_id not in self._known:
            with self.database.read() as session:
                spec, owner = rounds.load_spec(session, job_id), rounds.load_owner(session, job_id)
            self._known[job_id] = KnownJob(spec, owner, job_id=job_id)
        return self._known[job_id]

    def known(self, job_id: str) -> KnownJob | None:
        """The memory of a job; None if there is none."""
        return self._known.get(job_id)

    def remember(self, job_id: str) -> KnownJob:
        """The memory of a job that is about to read its rounds; only the jobs that read theirs last keep them."""
        self._recent.pop(job_id, None)
        self._recent[job_id] = None
        if len(self._recent) > MOST_KNOWN:
            oldest = next(iter(self._recent))
            del self._recent[oldest]
            if oldest in self._known:
                self._known[oldest].forget()
        return self.recall(job_id)

    def is_external(self, job_id: str) -> bool:
        """True if somebody else trains the job. Raises UnreadableError."""
        return self.recall(job_id).spec.trials == "external"

    def is_ours(self, job_id: str) -> bool:
        """True if the service trains the job; also for one whose spec cannot be read, so that it can be cancelled."""
        try:
            return not self.is_external(job_id)
        except UnreadableError:
            return True

    def leave(self, job_id: str) -> None:
        """Forget a job. Its trainings may go on, for the next leader."""
        self._forget(job_id)
        self.backend.leave(job_id)

    def drop(self, job_id: str) -> None:
        """Stop the backend's work for a job, and forget the job."""
        self._forget(job_id)
        for key in self.backend.running():
            if key.job_id == job_id:
                self.backend.cancel(key)

    def _forget(self, job_id: str) -> None:
        self._known.pop(job_id, None)
        self._recent.pop(job_id, None)
        self.breaker.forget(job_id)

    def fail(self, job_id: str, reason: str) -> None:
        """End a job that cannot go on."""
        self.drop(job_id)
        with self.database.write() as session:
            repository.fail_job(session, job_id, self.owner, reason)

    def block(self, job_id: str, reason: str) -> None:
        """No place can train the job now."""
        with self.database.write() as session:
            repository.block_job(session, job_id, self.owner, reason)
