"""Recommendations while a job runs: computed when a trial has succeeded, and not for every reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from service.store.engine import Database
from service.store.models import Trial


@pytest.fixture
def specs_read(service: Any) -> Iterator[list[str]]:
    """The statements that read specifications of several trials."""
    statements: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "trials.spec" in statement and "LIMIT" not in statement:
            statements.append(statement)

    engine = service.app.state.database.engine
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def test_no_trial_is_read_again_until_another_has_succeeded(
    service: Any, store_job: Any, database: Database, specs_read: list[str]
) -> None:
    job_id = store_job(succeeded=2)
    asked = [service.http.get(f"/jobs/{job_id}/schedule").json() for _ in range(3)]
    assert asked[0] == asked[1] == asked[2]
    assert asked[0]["recommended"] is not None
    assert len(specs_read) == 1
    with database.write() as session:
        running = session.query(Trial).filter_by(job_id=job_id, k=2).one()
        running.state, running.objective = "succeeded", 0.001
    better = service.http.get(f"/jobs/{job_id}/schedule").json()
    assert len(specs_read) == 2
    assert better["recommended"] is not None
    other = store_job(succeeded=1)
    assert service.http.get(f"/jobs/{other}/schedule").json()["recommended"] == {"round": 0, "k": 0}
