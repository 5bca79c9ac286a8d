"""Migrations on both databases, the two kinds of transaction, and settings of SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, insert, inspect, text
from sqlalchemy.orm import Session

from service.store import engine as engine_module
from service.store.engine import Database, alembic_config, at_head, make_engine, migrate
from service.store.models import Base, WorkerRow
from service.store.outage import OUTAGES, reason_of

WORKER = {"name": "a", "cpus": 0, "gpus": 0, "busy": 0, "seen_at": datetime(2026, 1, 1, tzinfo=UTC)}


@pytest.fixture
def migrated(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


def test_models_and_migrations_agree(database_url: str, migrated: Engine) -> None:
    assert at_head(migrated)
    command.check(alembic_config(database_url))
    assert set(inspect(migrated).get_table_names()) == {*Base.metadata.tables, "alembic_version"}


def test_constraints_and_indexes_are_named_as_in_the_models(migrated: Engine) -> None:
    schema = inspect(migrated)
    for name, table in Base.metadata.tables.items():
        assert {i["name"] for i in schema.get_indexes(name) if "duplicates_constraint" not in i} == {
            index.name for index in table.indexes
        }
        assert {c["name"] for c in schema.get_check_constraints(name)} == {
            c.name for c in table.constraints if c.name and str(c.name).startswith("ck_")
        }
        assert all(key["options"]["ondelete"] == "CASCADE" for key in schema.get_foreign_keys(name))


def test_down_and_up_again(database_url: str, migrated: Engine) -> None:
    command.downgrade(alembic_config(database_url), "base")
    assert inspect(migrated).get_table_names() == ["alembic_version"]
    assert not at_head(migrated)
    migrate(database_url)
    migrate(database_url)
    assert at_head(migrated)


def test_programs_that_start_together_migrate_once(database_url: str, migrated: Engine) -> None:
    command.downgrade(alembic_config(database_url), "base")
    with ThreadPoolExecutor(1) as pool:
        # Alembic keeps its context in the module, so the second program is only imitated: it holds the lock first.
        with migrated.begin() as connection:
            if migrated.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(5452357)"))
            done = pool.submit(migrate, database_url)
            assert inspect(connection).get_table_names() == ["alembic_version"]
        done.result(30)
    assert at_head(migrated)


def test_an_empty_database_is_not_at_head(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'below' / 'new.db'}")
    assert not database.at_head()
    database.close()


def test_sqlite_is_opened_with_its_settings(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.read() as session:
        values = [session.scalar(text(f"PRAGMA {n}")) for n in ("journal_mode", "synchronous", "foreign_keys")]
    database.close()
    assert values == ["wal", 1, 1]


def test_a_reader_waits_for_no_writer_and_sees_one_state(sqlite_url: str) -> None:
    database = Database(sqlite_url)

    def count(session: Session) -> int | None:
        return session.scalar(text("SELECT count(*) FROM workers"))

    with database.read() as reader:
        assert count(reader) == 0
        with database.write() as writer:
            writer.execute(insert(WorkerRow).values(WORKER))
            assert count(reader) == 0
        assert count(reader) == 0
    with database.read() as reader:
        assert count(reader) == 1
    database.close()


def test_two_writers_take_turns(sqlite_url: str) -> None:
    """Both read before they write: with a plain BEGIN one of them would fail as soon as the other commits."""
    database = Database(sqlite_url)
    with database.write() as session:
        session.execute(insert(WorkerRow).values(WORKER))

    def add(_: int) -> None:
        for _ in range(10):
            with database.write() as session:
                cpus = session.scalar(text("SELECT cpus FROM workers"))
                session.execute(text("UPDATE workers SET cpus = :cpus"), {"cpus": cpus + 1})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    with database.read() as session:
        assert session.scalar(text("SELECT cpus FROM workers")) == 40
    database.close()


@pytest.mark.parametrize("rested_s", [0.0, 3600.0])
def test_a_connection_lost_while_it_rested_is_replaced_unnoticed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, rested_s: float
) -> None:
    """One lost within the moment in which nobody asks is an outage once; then there is a new one."""
    monkeypatch.setattr(engine_module, "RESTED_S", rested_s)
    mine, other = make_engine(postgres_url), make_engine(postgres_url)
    pid_of = text("SELECT pg_backend_pid()")
    with mine.connect() as connection:
        pid = connection.scalar(pid_of)
    with other.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    if rested_s:
        with pytest.raises(OUTAGES) as lost, mine.connect() as connection:
            connection.scalar(pid_of)
        assert reason_of(lost.value) is not None
    with mine.connect() as connection:
        assert connection.scalar(pid_of) != pid
    mine.dispose()
    other.dispose()
