"""The frame of a batch of orders: the lock of its jobs, and at its end the rows of history and of the event stream.

Jobs are locked in the order of their ids, so that two api processes never wait for each other in a circle, and under
that lock the ids of a job's events grow in the order of the commits. So there is nothing for SKIP LOCKED to skip.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, Table, select

from service.store.changes import LIVE
from service.store.many import insert_many
from service.store.models import Base, Job, Transition
from service.store.quick import Quick
from service.store.told import insert_events

_LOCK = Quick(
    lambda among: (
        select(Job.id, Job.state).where(among(Job.id, "jobs")).order_by(Job.id).with_for_update(key_share=True)
    )
)


def table_of(model: type[Base]) -> Table:
    """The table and not the class: rows by the dozen need no mapper."""
    return Base.metadata.tables[model.__tablename__]


class Place(Protocol):
    """The trial that an event is about."""

    @property
    def trial_id(self) -> str: ...
    @property
    def job_id(self) -> str: ...
    @property
    def round(self) -> int: ...
    @property
    def k(self) -> int: ...
    @property
    def label(self) -> str: ...
    @property
    def share(self) -> float: ...


class Batch:
    """The jobs of a batch, locked to the end of its transaction, and rows that are written at its end in the order they
    were told."""

    def __init__(self, connection: Connection, job_ids: Collection[str], at: datetime) -> None:
        self.connection, self.at = connection, at
        rows = _LOCK.rows(connection, jobs=sorted(job_ids)) if job_ids else ()
        self.jobs: dict[str, str] = dict(rows)
        """The state of each job that there is."""
        self._transitions: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []

    def emit(self, job_id: str, kind: str, data: dict[str, Any]) -> None:
        self._events.append({"job_id": job_id, "kind": kind, "data": data, "at": self.at})

    def move(self, trial: Place, old: str, new: str, numbers: dict[str, Any] | None = None) -> None:
        """A trial's change of state, and the event that tells of it."""
        row = {"job_id": trial.job_id, "trial_id": trial.trial_id, "old": old, "new": new, "reason": ""}
        self._transitions.append({**row, "at": self.at})
        about = {"id": trial.trial_id, "round": trial.round, "k": trial.k, "label": trial.label, "state": new}
        live = {name: (numbers or {}).get(name) for name in LIVE}
        self.emit(trial.job_id, "trial", {**about, "share": trial.share, **live})

    def write(self) -> None:
        insert_many(self.connection, table_of(Transition), self._transitions)
        insert_events(self.connection, self._events)
