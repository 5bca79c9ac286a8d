"""Leases of jobs, and the places that train: a lease lets exactly one dispatcher advance a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Executable,
    Insert,
    Integer,
    Select,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from s2e.words import SPEC_VERSION
from s2e.words.states import JOB_ENDED, JOB_GOES_ON, TRIAL_IN_FLIGHT
from service.store.changes import clean
from service.store.clock import database_now
from service.store.models import JOB_LEASED, JOB_LIVE, TRIAL_UNDONE, DispatcherRow, Job, Trial, WorkerRow
from service.store.quick import Quick, one_of, send
from workers.backend import WorkerInfo

WORKER_FORGOTTEN_S = 60.0
DISPATCHER_SILENT_S = 15.0
"""A dispatcher that has not written for this long is not counted on."""
STARTING = "it is starting"
"""A dispatcher's own trouble until its backend is there."""


def _free(now: datetime | BindParameter[datetime], owner: str | None = None) -> ColumnElement[bool]:
    mine = [] if owner is None else [Job.lease_owner == owner]
    return or_(Job.lease_owner.is_(None), Job.lease_until < now, *mine)


def claimable_jobs(session: Session, limit: int, *, run_out: bool = True) -> list[str]:
    """Jobs that need a dispatcher and have none, oldest first; with ``run_out`` also those whose lease has run out.

    One whose spec is of a later version is left to a dispatcher of that release, unless it only has to be cancelled.
    """
    known = {"most": limit, **({"now": database_now(session)} if run_out else {})}
    return [job_id for (job_id,) in _CLAIMABLE[run_out].rows(session.connection(), **known)]


def _claim_query(run_out: bool, _: object) -> Select[str]:
    undone = select(Trial.id).where(Trial.job_id == Job.id, text(f"trials.{TRIAL_UNDONE}"))
    in_flight = undone.where(one_of(Trial.state, TRIAL_IN_FLIGHT)).exists()
    goes_on = or_(one_of(Job.state, JOB_GOES_ON), and_(Job.state == "paused", in_flight))
    needs = or_(Job.state == "cancelling", and_(goes_on, Job.spec_version <= SPEC_VERSION))
    live, nobodys = text(f"jobs.{JOB_LIVE}"), Job.lease_owner.is_(None)
    free = _free(bindparam("now", type_=Job.lease_until.type)) if run_out else nobodys
    return select(Job.id).where(live, needs, free).order_by(Job.id).limit(bindparam("most", type_=Integer()))


_CLAIMABLE = {run_out: Quick(partial(_claim_query, run_out)) for run_out in (True, False)}
"""Asked for at every step of every dispatcher."""


def acquire_lease(session: Session, job_id: str, owner: str, lease_s: float) -> bool:
    """Become the one dispatcher of a job; False when another is."""
    now = database_now(session)
    changed = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state.not_in(JOB_ENDED), _free(now, owner))
        .values(lease_owner=owner, lease_until=now + timedelta(seconds=lease_s))
        .returning(Job.id)
    )
    return changed.first() is not None


def renew_leases(session: Session, owner: str, job_ids: Sequence[str], lease_s: float) -> frozenset[str]:
    """Prolong the leases that ``owner`` still holds, and name them."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        until = {"until": database_now(session) + timedelta(seconds=lease_s)}
        return frozenset(connection.scalars(_renewal(), {"leader": owner, "jobs": list(job_ids), **until}))
    rows = send(connection, _RENEW, {"owner": owner, "jobs": list(job_ids), "lease": timedelta(seconds=lease_s)})
    return frozenset(job_id for (job_id,) in rows)


_RENEW = (  # one statement and no question for the time: each dispatcher sends it once a second
    "UPDATE jobs SET lease_until = clock_timestamp() + %(lease)s"
    " WHERE id = ANY(%(jobs)s) AND lease_owner = %(owner)s RETURNING id"
)


@cache
def _renewal() -> Executable:
    held = (Job.id.in_(bindparam("jobs", expanding=True)), Job.lease_owner == bindparam("leader"))
    return update(Job).where(*held).values(lease_until=bindparam("until")).returning(Job.id)


def next_lapse_s(session: Session) -> float | None:
    """Seconds until the first of all leases runs out unless it is renewed; None where nobody leads."""
    [(until,)] = _FIRST_LAPSE.rows(session.connection())
    return None if until is None else (until - database_now(session)).total_seconds()


_FIRST_LAPSE = Quick(lambda _: select(func.min(Job.lease_until)).where(text(f"jobs.{JOB_LEASED}")))


class LedJob(NamedTuple):
    """The columns of a led job that its turns depend on, or that others than its dispatcher change."""

    state: str
    n_trials_done: int
    priority: int
    owner: str


def led_states(session: Session, owner: str) -> dict[str, LedJob]:
    """Every job that the dispatcher ``owner`` leads."""
    return {job_id: LedJob(*rest) for job_id, *rest in _LED.rows(session.connection(), leader=owner)}


_LED = Quick(
    lambda _: select(Job.id, Job.state, Job.n_trials_done, Job.priority, Job.owner).where(
        Job.lease_owner == bindparam("leader"), text(f"jobs.{JOB_LEASED}")
    )
)


def release_leases(session: Session, owner: str, job_ids: Sequence[str]) -> None:
    """Let others take these jobs at once."""
    session.execute(
        update(Job).where(Job.id.in_(job_ids), Job.lease_owner == owner).values(lease_owner=None, lease_until=None)
    )


def leaders(session: Session) -> list[str]:
    """The dispatchers that have the lease of a job, run out or not."""
    return [owner for (owner,) in _LEADERS.rows(session.connection()) if owner is not None]


_LEADERS = Quick(lambda _: select(Job.lease_owner).where(text(f"jobs.{JOB_LEASED}")).distinct())


def free(session: Session, owner: str) -> None:
    """A dispatcher has died: its jobs are anybody's, and it is not counted on."""
    session.execute(update(Job).where(Job.lease_owner == owner).values(lease_owner=None, lease_until=None))
    forget_dispatcher(session, owner)


@dataclass(frozen=True)
class Quarantine:
    """Why nothing is placed at a place, and until when."""

    reason: str
    until: datetime


@dataclass(frozen=True)
class Circuit:
    """A cause for which jobs of one need are not placed at a place; an empty one: anywhere."""

    place: str
    cause: str
    reason: str
    need: str
    """The part of the place that fails, in words; empty: every job needs it."""
    since: datetime
    next_try: datetime | None
    """None: a population tries now."""


def record_workers(
    session: Session,
    workers: Sequence[WorkerInfo],
    quarantined: Mapping[str, Quarantine] | None = None,
    circuits: Sequence[Circuit] = (),
    by: str = "",
) -> None:
    """Record the places that train, as just seen; places and dispatchers unseen for a minute are forgotten. ``by`` is
    the dispatcher that writes: circuits and quarantines of others that live stay beside its own, and one that leads
    nothing knows of none (None)."""
    at = database_now(session)
    for table in (WorkerRow, DispatcherRow):
        session.execute(delete(table).where(table.seen_at < at - timedelta(seconds=WORKER_FORGOTTEN_S)))
    others = _of_others(session, by) if quarantined is not None else {}
    for worker in sorted(workers, key=lambda worker: worker.name):
        values = {"cpus": worker.cpus, "gpus": worker.gpus, "busy": worker.busy, "seen_at": at}
        if quarantined is not None:
            theirs = others.get(worker.name, [])
            why = quarantined.get(worker.name) or _quarantine(theirs, at)
            values |= {"trouble": clean(why.reason) if why else "", "quarantined_until": why.until if why else None}
            mine = [_told(circuit, by) for circuit in circuits if circuit.place in ("", worker.name)]
            values["circuits"] = [*theirs, *mine]
        session.execute(_upsert(session, WorkerRow, worker.name[:200], values))


def circuits_of(worker: WorkerRow) -> list[dict[str, Any]]:
    """The circuits of a place, as JSON of :class:`s2e.words.answers.Circuit`: once each, however many dispatchers have
    met the cause."""
    once: dict[tuple[Any, ...], dict[str, Any]] = {}
    for told in sorted(worker.circuits, key=lambda told: str(told["since"])):
        once.setdefault((told["cause"], told["need"], told["everywhere"]), told)
    return [{name: value for name, value in told.items() if name != _BY} for told in once.values()]


_BY = "by"
"""The dispatcher that wrote a circuit."""


def _of_others(session: Session, by: str) -> dict[str, list[dict[str, Any]]]:
    """Circuits that other dispatchers, which live, have written for each place."""
    alive = set(session.scalars(select(DispatcherRow.name))) - {by}
    rows = session.execute(select(WorkerRow.name, WorkerRow.circuits))
    return {name: [told for told in circuits if told.get(_BY) in alive] for name, circuits in rows}


def _quarantine(circuits: Sequence[dict[str, Any]], at: datetime) -> Quarantine | None:
    """Until when nothing is placed at a place, by the circuits of it that every job needs."""
    for told in circuits:
        until = told["next_try"] and datetime.fromisoformat(told["next_try"])
        if until and until > at and not told["need"] and not told["everywhere"]:
            return Quarantine(told["reason"], until)
    return None


def _told(circuit: Circuit, by: str) -> dict[str, Any]:
    """A circuit as :class:`s2e.words.answers.Circuit`, and who wrote it."""
    return {
        "cause": circuit.cause,
        "reason": clean(circuit.reason),
        "need": circuit.need,
        "everywhere": not circuit.place,
        "since": circuit.since.isoformat(),
        "next_try": circuit.next_try and circuit.next_try.isoformat(),
        _BY: by,
    }


def record_dispatcher(session: Session, name: str, trouble: str = "") -> None:
    """A dispatcher lives; ``trouble``: why it cannot work."""
    values = {"trouble": clean(trouble), "seen_at": database_now(session)}
    session.execute(_upsert(session, DispatcherRow, name, values))


def forget_dispatcher(session: Session, name: str) -> None:
    """It has ended in order."""
    session.execute(delete(DispatcherRow).where(DispatcherRow.name == name))


def no_dispatcher(session: Session) -> str:
    """Why no dispatcher works now; empty when one does."""
    since = database_now(session) - timedelta(seconds=DISPATCHER_SILENT_S)
    rows = session.scalars(select(DispatcherRow).order_by(DispatcherRow.seen_at.desc())).all()
    if any(not row.trouble and row.seen_at >= since for row in rows):
        return ""
    troubles = [row.trouble for row in rows if row.trouble]
    # One that has just been started again says so, while the one before it said why it ended.
    told = [trouble for trouble in troubles if trouble != STARTING] or troubles
    return f"the dispatcher does not work: {told[0]}" if told else "no dispatcher is alive; start one: s2e dispatcher"


def no_place(session: Session) -> str:
    """Why no place trains; empty when one does."""
    since = database_now(session) - timedelta(seconds=DISPATCHER_SILENT_S)
    if session.scalar(select(WorkerRow.name).where(WorkerRow.seen_at >= since).limit(1)) is not None:
        return ""
    return "the dispatcher sees no place that trains"


def _upsert(session: Session, table: type[WorkerRow | DispatcherRow], name: str, values: dict[str, Any]) -> Insert:
    if session.get_bind().dialect.name == "sqlite":
        statement: sqlite.Insert | postgresql.Insert = sqlite.insert(table)
    else:
        statement = postgresql.insert(table)
    new = {"trouble": "", **({"circuits": []} if table is WorkerRow else {}), **values}
    return statement.values(**new, name=name).on_conflict_do_update(index_elements=["name"], set_=values)
