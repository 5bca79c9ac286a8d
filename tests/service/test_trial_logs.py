"""The log of a trial and of a job: what trainers logged, each line once, beside what became of every try."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from s2e.client import S2EClient
from service.cli.main import main
from service.store import trial_logs
from service.store.engine import Database
from service.store.models import LogRow, Trial
from service.testing.driver import Driver
from workers.backend import LoggedLine, PopulationHeld, PopulationKey, PopulationLogged
from workers.simulated import Loss


def logged(key: PopulationKey, first: int, *texts: str) -> PopulationLogged:
    lines = (LoggedLine(1.7e9 + first + i, "warning", "mine", text) for i, text in enumerate(texts))
    return PopulationLogged(key, first, tuple(lines))


def test_a_line_is_kept_once_however_often_it_is_told(each_database: Database, quick_search: Any) -> None:
    driver = Driver(each_database, quick_search)
    driver.run()
    key = PopulationKey(driver.job_id, 0, 0, 1)
    told = [logged(key, 0, "a", "b"), logged(key, 0, "a", "b"), logged(key, 1, "b", "c"), logged(key, 6, "g")]
    with each_database.write() as session:
        trial_logs.record(session, driver.job_id, told)
    with each_database.read() as session:
        (row,) = session.query(LogRow).all()
        assert [line["text"] for line in row.lines] == ["a", "b", "c", "g"]
        assert (row.n, row.ks) == (7, [0, 2])
        trials = {trial.k: trial for trial in session.query(Trial).where(Trial.round == 0)}
        texts = {k: [line.text for line in trial_logs.of_trial(session, trial)] for k, trial in trials.items()}
    assert texts[0] == texts[2]
    assert [text for text in texts[0] if len(text) == 1] == ["a", "b", "c", "g"]
    assert "a" not in texts[1]
    with each_database.write() as session:
        trial_logs.record(session, driver.job_id, [logged(key, 7, *map(str, range(500)))])
    with each_database.read() as session:
        (row,) = session.query(LogRow).all()
        assert (len(row.lines), row.n, row.lines[-1]["text"]) == (trial_logs.MOST_LINES, 507, "499")


def test_what_a_held_training_logs_does_not_say_that_it_goes_on(database: Database, quick_search: Any) -> None:
    driver = Driver(database, quick_search)
    while not (known := driver.orchestrator._lead.recall(driver.job_id)).in_flight:
        driver.orchestrator.advance(driver.job_id)
    (key, flight), *_ = known.in_flight.items()
    driver.orchestrator.record(driver.job_id, [PopulationHeld(key, "artifact disk full"), logged(key, 0, "waiting")])
    assert flight.held == "artifact disk full"


@pytest.fixture
def job_with_a_loss(database: Database, quick_search: Any) -> Driver:
    """Its second population was lost once, and its check logged a line."""
    fails = {(0, 1, 1): Loss(1, "the raylet died")}
    driver = Driver(database, quick_search, lost=lambda key: fails.get((key.round, key.group, key.attempt)))
    driver.run()
    told = [logged(PopulationKey(driver.job_id, -1, 0, 1), 0, "looked at 1,437 rows")]
    told += [logged(PopulationKey(driver.job_id, 0, 1, 1), 0, "a first try", "ends")]
    told += [logged(PopulationKey(driver.job_id, 0, 1, 2), 0, "a second try")]
    with database.write() as session:
        trial_logs.record(session, driver.job_id, told)
    return driver


def test_a_log_is_paged_or_plain_text(job_with_a_loss: Driver, http: httpx.Client) -> None:
    trial = next(t for t in http.get(f"/jobs/{job_with_a_loss.job_id}/trials?round=0").json()["items"] if t["k"] == 1)
    assert trial["attempt"] == 2
    path, items, cursor = f"/trials/{trial['id']}/logs", [], ""
    while cursor is not None:
        page = http.get(path, params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        assert len(page["items"]) <= 3
        items, cursor = items + page["items"], page["next_cursor"]
    assert [item["attempt"] for item in items] == sorted(item["attempt"] for item in items)
    texts = [item["text"] for item in items]
    assert [text for text in texts if text.endswith(("try", "ends"))] == ["a first try", "ends", "a second try"]
    assert "lost: the raylet died" in texts
    assert texts[-1] == "succeeded"
    lost = items[texts.index("lost: the raylet died")]
    assert (lost["level"], lost["source"], lost["attempt"], lost["trial_id"]) == ("warning", "service", 1, trial["id"])
    told = http.get(path, headers={"Accept": "text/plain"})
    assert told.headers["content-type"].startswith("text/plain")
    assert [line.rpartition(": ")[2] for line in told.text.splitlines()] == [t.rpartition(": ")[2] for t in texts]
    assert http.get(path, params={"cursor": "WzFd"}).status_code == 422
    assert http.get("/trials/nothing/logs").status_code == 404


def test_the_log_of_a_job_has_its_check_and_its_losses(
    job_with_a_loss: Driver, service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = job_with_a_loss.job_id
    with S2EClient(service.url) as client:
        lines = list(client.job_logs(job_id))
        trial = next(trial for trial in client.trials(job_id, 0) if trial.k == 1)
        assert "a second try" in [line.text for line in client.logs(trial.id)]
    texts = [line.text for line in lines]
    assert texts[0] == "looked at 1,437 rows"  # of long ago, by the clock of its machine
    assert [text for text in texts if text in ("queued", "checking", "running", "completed")] == [
        "queued", "checking", "running", "completed"
    ]  # fmt: skip
    assert [line.trial_id for line in lines if line.text == "lost: the raylet died"] == [trial.id]
    main_of = ["logs", job_id, "--url", service.url]
    with pytest.raises(SystemExit) as ended:
        main(main_of)
    assert not ended.value.code
    assert f"trial {trial.id} warning service: lost: the raylet died" in capsys.readouterr().out
