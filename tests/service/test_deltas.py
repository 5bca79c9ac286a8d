"""Schedules by what has changed: a reader that keeps up is sent a few trials, and ends with what a new one gets."""

from __future__ import annotations

from typing import Any

import httpx

from s2e.client.http import S2EClient
from service.store import repository
from service.store.changes import lock_job, move_trials
from service.store.engine import Database
from service.store.models import Trial


def test_a_reader_that_asks_for_what_has_changed_has_what_a_new_one_gets(
    service: Any, http: httpx.Client, store_job: Any, database: Database
) -> None:
    job = store_job(succeeded=1)
    with S2EClient(service.url) as client:
        whole = client.schedules(job)
        assert whole.whole
        nothing = client.schedules(job, since=whole.last_event_id)
        assert (nothing.whole, nothing.items) == (False, ())
        assert (nothing.epochs, nothing.recommended) == (whole.epochs, whole.recommended)

        with database.write() as session:
            [trial] = session.query(Trial).filter_by(job_id=job, k=2)
            move_trials(session, lock_job(session, job), [trial], "failed", "NaN")
        some = client.schedules(job, since=whole.last_event_id)
        assert [(item.k, item.state) for item in some.items] == [(2, "failed")]
        merged = {item.id: item for item in (*whole.items, *some.items)}
        again = client.schedules(job)
        assert list(merged.values()) == list(again.items)
        assert some.last_event_id == again.last_event_id > whole.last_event_id

        rounded = client.schedules(job, digits=2)
        assert rounded.items[0].keep_rate == tuple(round(value, 2) for value in whole.items[0].keep_rate)

        with database.write() as session:  # a retry may take trials away
            repository.fail_job(session, job, None, "disk")  # type: ignore[arg-type]
            repository.retry_job(session, job)
        assert client.schedules(job, since=again.last_event_id).whole
    assert http.get(f"/jobs/{job}/schedules", params={"digits": 0}).status_code == 422
