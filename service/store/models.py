"""The tables. A job has rounds, a round has trials, a trial has attempts, an attempt has epochs.

Everything is written by the dispatcher or by one API request, in small transactions; see ``repository``.
Times are UTC; ids of jobs and trials are UUIDv7-like and sort by creation time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_type_hints

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from s2e.words import EpochMetrics, Fidelity, TrialResult, numbers_of, read
from s2e.words.states import JOB_STATES, TRIAL_STATES

# Kept as text on PostgreSQL too: JSONB would turn 1e16 into a whole number and -0.0 into 0, and replay promises bits.
Json = JSON(none_as_null=True)
# SQLite autoincrements only INTEGER primary keys.
BigId = BigInteger().with_variant(Integer, "sqlite")
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """Timezone-aware UTC in Python on every database (SQLite forgets the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {dict[str, Any]: Json, list[float]: Json, datetime: UtcDateTime()}


def _one_of(column: str, names: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(name) for name in names)})"


def _where(condition: str) -> dict[str, Any]:
    """An index of the rows alone that a hot query asks for. It is used by a query that has the very same condition in
    its text: a bound parameter proves nothing to a planner."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


JOB_LIVE = "state NOT IN ('cancelled', 'completed', 'failed')"
JOB_LEASED = "lease_owner IS NOT NULL"
TRIAL_PENDING = "state = 'pending'"
TRIAL_UNDONE = "state NOT IN ('succeeded', 'failed')"
ATTEMPT_OPEN = "outcome = ''"
DELIVERY_OPEN = "outcome = ''"
JOB_OWNED = "owner <> ''"


class Job(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(_one_of("state", JOB_STATES), name="state"),
        Index(None, "state", "id"),
        Index("ix_jobs_live", "id", **_where(JOB_LIVE)),
        Index("ix_jobs_led", "lease_owner", **_where(JOB_LEASED)),
        Index("ix_jobs_of_owner", "owner", "state", **_where(JOB_OWNED)),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    state: Mapped[str] = mapped_column(String(16))
    spec: Mapped[dict[str, Any]]
    spec_version: Mapped[int]
    n_trials: Mapped[int]
    n_rounds: Mapped[int | None]
    """Most rounds, as n_trials is most trials: counted at submission. Null for jobs of before revision 0004."""
    n_trials_done: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    estimate: Mapped[dict[str, Any] | None]
    """Estimate as JSON: the findings of the check. Null: not checked yet."""
    population: Mapped[int | None]
    """Most trials of a population, where memory held fewer than the plan says; part of the plan from then on."""
    lease_owner: Mapped[str | None] = mapped_column(String(80))
    lease_until: Mapped[datetime | None]
    owner: Mapped[str] = mapped_column(String(80), default="")
    """The owner of the key that submitted it; empty: nobody's, and everybody's."""
    priority: Mapped[int] = mapped_column(default=0)
    """Among the jobs of its owner."""
    device_s: Mapped[float] = mapped_column(default=0.0)
    """Seconds that its populations took of their places, of those that have ended."""
    stop: Mapped[str] = mapped_column(Text, default="")
    """The budget that was used up, in words; empty: none. The rows hold all that was done by then, so the report can be
    made again from them."""


class IdempotencyKey(Base):
    """A POST seen before: the same key and body give the same answer, another body is refused."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]


class SearchRound(Base):
    """Append-only: one row per round, theta as JSON (floats survive exactly), so replay is free."""

    __tablename__ = "search_rounds"
    __table_args__ = (UniqueConstraint("job_id", "round"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    round: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[dict[str, Any] | None]
    """SearchState before the round; null outside the search."""
    created_at: Mapped[datetime]


class Trial(Base):
    __tablename__ = "trials"
    __table_args__ = (
        UniqueConstraint("job_id", "round", "k"),
        CheckConstraint(_one_of("state", TRIAL_STATES), name="state"),
        Index(None, "job_id", "state"),
        Index("ix_trials_pending", "job_id", "round", "k", **_where(TRIAL_PENDING)),
        Index("ix_trials_undone", "job_id", "round", **_where(TRIAL_UNDONE)),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    round: Mapped[int]
    k: Mapped[int]
    group: Mapped[int] = mapped_column("population_group")
    """Number of the population of the round that trains it."""
    label: Mapped[str] = mapped_column(String(40))
    repeat: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    attempt: Mapped[int] = mapped_column(default=0)
    """The current try; events of an older one change nothing."""
    spec: Mapped[dict[str, Any]]
    """TrialSpec as JSON: point, keep_rate, seeds, own training settings."""
    if TYPE_CHECKING:  # two of TRIAL_NUMBERS, which queries name
        objective: Mapped[float | None]
        validation_accuracy: Mapped[float | None]
    model: Mapped[str | None] = mapped_column(String(400))
    final: Mapped[dict[str, Any] | None]
    """FinalAccuracies as JSON."""
    reason: Mapped[str] = mapped_column(Text, default="")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    @property
    def train(self) -> dict[str, Any]:
        """Fields of TrainSpec that this trial alone has different."""
        train: dict[str, Any] = self.spec.get("train", {})
        return train

    @property
    def share(self) -> float:
        """Share of a full training that it is."""
        return share_of(self.spec)


def share_of(spec: dict[str, Any]) -> float:
    """Share of a full training that a stored trial is."""
    return read(Fidelity, spec.get("fidelity", {})).share(len(spec["keep_rate"]))


class Attempt(Base):
    """One try at a trial, kept for the record whatever became of it."""

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("job_id", "round", "k", "attempt"),
        Index("ix_attempts_open", "job_id", "lease_until", **_where(ATTEMPT_OPEN)),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"), index=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    round: Mapped[int]
    k: Mapped[int]
    attempt: Mapped[int]
    worker: Mapped[str] = mapped_column(String(200), default="")
    outcome: Mapped[str] = mapped_column(String(16), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    n_stale: Mapped[int] = mapped_column(default=0)
    """Events that arrived after the attempt was given up: recorded, never counted."""
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    lease: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Token that an external trainer shows with every report; null for trials the dispatcher gives to its backend."""
    lease_until: Mapped[datetime | None]
    request_hash: Mapped[str | None] = mapped_column(String(64))
    """Of the request that leased it under an idempotency key; null without one."""


class LogRow(Base):
    """The last lines that one try at a population logged."""

    __tablename__ = "trial_logs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    """-1: the check before the first one."""
    group: Mapped[int] = mapped_column("population_group", primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    ks: Mapped[list[int]] = mapped_column(Json)
    """The trials that it trained."""
    n: Mapped[int]
    """Lines so far; those that are kept are the last of them."""
    lines: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    """LoggedLine as JSON."""


class Epoch(Base):
    """EpochMetrics of one attempt; :data:`EPOCH_NUMBERS` are its numbers."""

    __tablename__ = "epochs"

    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    networks: Mapped[list[list[float | None]] | None] = mapped_column(Json)
    """The numbers of each network, as in EpochMetrics."""


class Transition(Base):
    """Every change of state of a job or a trial, with its reason and time."""

    __tablename__ = "transitions"
    __table_args__ = (Index(None, "job_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    trial_id: Mapped[str | None] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"), index=True)
    old: Mapped[str | None] = mapped_column(String(16))
    new: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime]


class JobEvent(Base):
    """An entry of the event stream; ``id`` is the server-sent event's id, so a client resumes where it stopped.

    A row of epochs says which they are; their numbers are in the table of epochs, once. Several that follow one another
    are one row (:mod:`service.store.told`).
    """

    __tablename__ = "job_events"
    __table_args__ = (Index(None, "job_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class JobReport(Base):
    __tablename__ = "reports"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    report: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class WorkerRow(Base):
    """A place that trains, as the dispatcher last saw it."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    cpus: Mapped[float]
    gpus: Mapped[float]
    busy: Mapped[int]
    trouble: Mapped[str] = mapped_column(Text, default="")
    """Why nothing is placed there until ``quarantined_until``."""
    quarantined_until: Mapped[datetime | None]
    circuits: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    """Circuits of s2e.words.answers as JSON: the causes for which some or all jobs get nothing there."""
    seen_at: Mapped[datetime]


class DispatcherRow(Base):
    """A dispatcher that was alive when last seen."""

    __tablename__ = "dispatchers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    trouble: Mapped[str] = mapped_column(Text, default="")
    """Why it cannot work; empty when it can."""
    seen_at: Mapped[datetime]


class KeyRow(Base):
    """A key of the API. The secret itself is nowhere."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of the secret, which has 256 random bits: nothing slower is needed."""
    name: Mapped[str] = mapped_column(String(80))
    owner: Mapped[str] = mapped_column(String(80))
    scopes: Mapped[str] = mapped_column(String(80))
    """Names with blanks between."""
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(80))
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class DatasetRow(Base):
    """A registered data set: a section of a job, and a preview from its registration."""

    __tablename__ = "datasets"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    owner: Mapped[str] = mapped_column(String(80))
    data: Mapped[dict[str, Any]]
    fingerprint: Mapped[str] = mapped_column(String(64))
    n_bytes: Mapped[int] = mapped_column(BigInteger)
    preview: Mapped[dict[str, Any]]
    proposed: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class AuditRow(Base):
    """A change and who made it. It outlives the job that it tells about."""

    __tablename__ = "audit"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    owner: Mapped[str] = mapped_column(String(80))
    key_id: Mapped[str | None] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(80))
    target: Mapped[str] = mapped_column(String(80), index=True)
    request_id: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(80))


class WebhookRow(Base):
    """An address that is told of jobs. The secret is what its messages are signed with, so it is stored as it is."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    owner: Mapped[str] = mapped_column(String(80))
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(String(80))
    states: Mapped[str] = mapped_column(Text)
    """States of a job that are worth a message, separated by blanks."""
    everybody: Mapped[bool] = mapped_column(default=False)
    """Told of the jobs of all owners."""
    created_at: Mapped[datetime]


class DeliveryRow(Base):
    """A message to a webhook, kept until it has been taken or given up."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index("ix_deliveries_due", "due_at", **_where(DELIVERY_OPEN)),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"), index=True)
    job_id: Mapped[str | None] = mapped_column(String(36))
    body: Mapped[str] = mapped_column(Text)
    """The bytes that are sent and signed."""
    n_tries: Mapped[int] = mapped_column(default=0)
    outcome: Mapped[str] = mapped_column(String(16), default="")
    """Empty: not taken yet; taken; given up."""
    answer: Mapped[str] = mapped_column(Text, default="")
    """The outcome of the last try, in words."""
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]


def _number_columns(table: type[Base], words: type) -> tuple[str, ...]:
    """Give ``table`` a column for each number that ``words`` declares; their names."""
    hints, names = get_type_hints(words), tuple(number.name for number in numbers_of(words))
    for name in names:
        setattr(table, name, mapped_column(name, Double, nullable=type(None) in get_args(hints[name])))
    return names


EPOCH_NUMBERS = _number_columns(Epoch, EpochMetrics)
TRIAL_NUMBERS = _number_columns(Trial, TrialResult)
