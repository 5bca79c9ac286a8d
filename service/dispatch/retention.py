"""Keeps no more files of ended jobs, and of those that were sent for nothing, than the settings say: a thread of the
dispatcher's process.

A rule takes nothing from a job that has not ended, and never a model that a report names. What it deletes is worked out
anew every time, from the files and the rows that are there, so an interrupted deletion is continued. It deletes under
the job's lease: two dispatchers never do so at once, and a job that is tried again waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath

from s2e.files import Files, Stored, files_below
from s2e.words import S2EError
from service import uploads
from service.logs import about
from service.settings import Settings
from service.store import datasets, retention
from service.store.clock import database_now
from service.store.engine import Database
from service.store.outage import OUTAGES
from service.store.retention import Ended

LOOK_S = 3600.0
FIRST_LOOK_S = 60.0
LEASE_S = 60.0
"""A job that takes longer is gone on with at the next look."""
MODEL = ".safetensors"
log = logging.getLogger("s2e.retention")


@dataclass(frozen=True)
class Rules:
    """The rule of what is kept. None: everything."""

    models: int | None = None
    days: float | None = None
    n_bytes: int | None = None
    upload_days: float | None = None
    """Of files that were sent, and that no registered data set and no job names."""

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        return cls(settings.keep_models, settings.keep_days, settings.keep_bytes, settings.keep_upload_days or None)

    def __bool__(self) -> bool:
        return (self.models, self.days, self.n_bytes, self.upload_days) != (None, None, None, None)

    def in_words(self) -> str:
        """The rules as a sentence."""
        of_jobs = self._of_jobs()
        if self.upload_days is None:
            return of_jobs
        return f"{of_jobs}; uploads that nothing names for {self.upload_days:g} days"

    def _of_jobs(self) -> str:
        words = [] if self.models is None else [f"of each job the models of its {self.models} best trials"]
        words += [] if self.days is None else [f"files for {self.days:g} days"]
        words += [] if self.n_bytes is None else [f"at most {self.n_bytes / 1e9:g} GB of ended jobs"]
        return "; ".join(words) + ", and what reports name" if words else "everything until a job is deleted"


class Retention:
    """Applies ``rules`` to the files below ``root``, and to those sent to ``data_root``, now and then.

    ``owner`` is this dispatcher."""

    def __init__(self, database: Database, root: str, rules: Rules, owner: str, data_root: Path | None = None) -> None:
        self._database, self._root, self._rules, self._owner = database, root, rules, owner
        self._data_root = data_root
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Begin to look, where there is a rule."""
        if self._rules:
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def look(self) -> int:
        """Apply the rules once; how many files were deleted."""
        files, n_deleted = files_below(self._root), 0
        with self._database.read() as session:
            jobs, now = retention.ended_jobs(session), database_now(session)
        if self._rules.models is not None:
            whole = [job for job in jobs if job.state != "failed"]  # a failed one may be tried again, from its files
            n_deleted += sum(self._keep_models(files, job, self._rules.models) for job in whole)
        if self._rules.days is not None:
            before = now - timedelta(days=self._rules.days)
            n_deleted += sum(self._keep_reported(files, job, "days") for job in jobs if job.at < before)
        return n_deleted + self._keep_bytes(files, jobs) + self._forget_uploads()

    def _forget_uploads(self) -> int:
        """Delete what was sent long ago and is named by nothing; how many folders."""
        root, days = self._data_root, self._rules.upload_days
        if root is None or days is None or not (old := set(uploads.older_than(root, days))):
            return 0
        with self._database.read() as session:
            for named in datasets.paths_in_use(session, by_ended=True):
                old -= uploads.named_in(named)
        uploads.delete(root, sorted(old))
        log.info("uploads deleted", extra=about(rule="uploads", folders=len(old)))
        return len(old)

    def _keep_models(self, files: Files, job: Ended, most: int) -> int:
        with self._database.read() as session:
            kept = retention.best_models(session, job.id, most) | retention.reported_models(session, job.id)
        return self._delete(files, job, kept, f"models of {most} best trials", _of_trainings)

    def _keep_reported(self, files: Files, job: Ended, rule: str) -> int:
        with self._database.read() as session:
            kept = retention.reported_models(session, job.id)
        return self._delete(files, job, kept, rule, lambda _: True)

    def _keep_bytes(self, files: Files, jobs: list[Ended]) -> int:
        """Take from the jobs that ended longest ago, until the others have room."""
        if self._rules.n_bytes is None:
            return 0
        sizes = {job.id: _n_bytes(files, job) for job in jobs}
        left, n_deleted = sum(sizes.values()), 0
        for job in jobs:
            if left <= self._rules.n_bytes or self._stop.is_set():
                break
            n_deleted += self._keep_reported(files, job, "bytes")
            left -= sizes[job.id] - _n_bytes(files, job)
        return n_deleted

    def _delete(self, files: Files, job: Ended, kept: Collection[str], rule: str, wanted: Callable[[str], bool]) -> int:
        """Delete the files of a job that ``wanted`` names, but the models ``kept`` and what they are."""
        stay = {*kept, *(str(PurePosixPath(path).with_suffix(".json")) for path in kept)}
        surplus = [stored for stored in files.below(job.id) if stored.path not in stay and wanted(stored.path)]
        if not surplus or self._stop.is_set():
            return 0
        with self._database.write() as session:
            if not retention.hold(session, job.id, self._owner, LEASE_S):
                return 0
        gone = list(self._deleted(files, surplus))
        n_bytes = sum(stored.n_bytes for stored in gone)
        with self._database.write() as session:
            retention.forget_models(session, job.id, kept, f"retention ({rule}): {len(gone)} files, {n_bytes} bytes")
            retention.let_go(session, job.id, self._owner)
        log.info("files deleted", extra=about(job=job.id, rule=rule, files=len(gone), bytes=n_bytes))
        return len(gone)

    def _deleted(self, files: Files, surplus: list[Stored]) -> Iterator[Stored]:
        until_s = time.monotonic() + LEASE_S / 2
        for stored in surplus:
            if time.monotonic() > until_s or self._stop.is_set():
                return
            files.delete(stored.path)
            yield stored

    def _run(self) -> None:
        wait_s = FIRST_LOOK_S
        while not self._stop.wait(wait_s):
            wait_s = LOOK_S
            try:
                self.look()
            except (*OUTAGES, OSError, S2EError) as error:  # it looks again
                log.warning("the rules of retention are not applied: %s", type(error).__name__)
            except Exception:
                log.exception("a look at what is kept failed")


def _of_trainings(path: str) -> bool:
    """Models, what they are, and checkpoints; not what an audit of labels rests on."""
    parts = PurePosixPath(path)
    return parts.suffix == MODEL or (parts.suffix == ".json" and parts.parent.name.startswith("round-"))


def _n_bytes(files: Files, job: Ended) -> int:
    return sum(stored.n_bytes for stored in files.below(job.id))
