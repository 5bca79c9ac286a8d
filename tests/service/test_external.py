"""Trials that somebody else trains: leases, fences, refusals, and a loop of one's own from submission to report."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from sqlalchemy import func, select

from s2e.client import own_loop
from s2e.client.errors import Conflict, LeaseExpired
from s2e.client.http import S2EClient
from s2e.client.own_loop import own_trials
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.words import EpochMetrics, JobSpec, TrialResult, replace
from service.api.direct import Direct
from service.api.operations import BUSIEST, PREFIX
from service.api.writer import Writer
from service.cli.terminal import print_report
from service.dispatch.orchestrator import Orchestrator
from service.errors import Conflict as ServiceConflict
from service.errors import NotFound
from service.store import external, leases, repository, rounds
from service.store.changes import utc_now
from service.store.engine import Database
from service.store.models import Attempt, Epoch, Job, Trial
from workers.backend import PopulationKey, PopulationLost
from workers.simulated import SimulatedBackend

ROOT = Path(__file__).resolve().parents[2]
OWNER, OTHER = "test:1", "test:2"
SMALL = {
    "trials": "external",
    "train": {"n_epochs": 6},
    "search": {"n_rounds": 2, "n_trials": 3},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.2]},
}


def accuracy(keep_rate: tuple[float, ...] | list[float], epoch: int) -> float:
    """Accuracy of a training under a schedule: the better the closer R(t) is to 0.5."""
    return 0.9 - abs(keep_rate[epoch] - 0.5)


class Led:
    """An external job whose dispatcher is stepped by hand; nothing may reach its backend."""

    def __init__(self, database: Database, spec: JobSpec) -> None:
        self.database = database
        self.backend = SimulatedBackend(lambda _: pytest.fail("the service trains an external trial"))
        self.orchestrator = Orchestrator(database, self.backend, OWNER, max_attempts=2)
        with database.write() as session:
            self.job_id, _ = repository.create_job(session, spec)
            leases.acquire_lease(session, self.job_id, OWNER, 600)
        self.orchestrator.take_over(self.job_id)
        self.orchestrator.advance(self.job_id)

    def ask(self, n_trials: int = 1, key: str | None = None) -> list[tuple[Trial, Attempt]]:
        with self.database.write() as session:
            return external.ask(session, self.job_id, n_trials, "me", 60, 2, key)[1]

    def report(self, lease: str, trial: Trial, **told: Any) -> external.Reported:
        with self.database.write() as session:
            return external.report(session, lease, trial.id, 60, 2, **told)

    def train(self, trial: Trial, lease: str) -> None:
        keep_rate = trial.spec["keep_rate"]
        rows = [metrics(trial, t, accuracy(keep_rate, t)) for t in range(len(keep_rate))]
        self.report(lease, trial, epochs=rows)
        with self.database.write() as session:
            end = external.result(session, lease, trial.id, None)
        self.report(lease, trial, end=end)

    def run_out(self, lease: str) -> None:
        with self.database.write() as session:
            row = session.scalars(select(Attempt).where(Attempt.lease == lease)).one()
            row.lease_until = utc_now() - timedelta(seconds=1)

    def trial(self, trial_id: str) -> Trial:
        with self.database.read() as session:
            return session.get_one(Trial, trial_id)

    def attempts(self, trial_id: str) -> list[Attempt]:
        with self.database.read() as session:
            return list(session.scalars(select(Attempt).where(Attempt.trial_id == trial_id).order_by(Attempt.attempt)))


def metrics(trial: Trial, epoch: int, validation_accuracy: float) -> EpochMetrics:
    return EpochMetrics(
        k=trial.k,
        epoch=epoch,
        loss=None,
        keep_rate=trial.spec["keep_rate"][epoch],
        kept=trial.spec["keep_rate"][epoch],
        label_precision=None,
        label_recall=None,
        validation_accuracy=validation_accuracy,
        test_accuracy=validation_accuracy,
    )


@pytest.fixture
def led(each_database: Database) -> Led:
    return Led(each_database, parse_job(SMALL))


def in_process(spec: JobSpec) -> Any:
    """The same search without any service."""

    def train(_round: Any, populations: Any) -> list[TrialResult]:
        results = []
        for trial in (trial for population in populations for trial in population.trials):
            tail = [accuracy(trial.keep_rate, t) for t in range(len(trial.keep_rate))][-spec.tail_epochs :]
            mean = sum(tail) / len(tail)
            results.append(
                TrialResult(trial.round, trial.k, objective=1 - mean, validation_accuracy=mean, test_accuracy=mean)
            )
        return results

    return loop.run_search(spec, train)


def test_a_job_trained_outside_ends_as_it_would_in_process(led: Led) -> None:
    spec = parse_job(SMALL)
    n_trained = 0
    while not led.orchestrator.advance(led.job_id):
        for trial, attempt in led.ask(2):
            led.train(trial, attempt.lease or "")
            n_trained += 1
    history, report = in_process(spec)
    with led.database.read() as session:
        stored = rounds.load_history(session, led.job_id)
        assert session.get_one(Job, led.job_id).state == "completed"
    assert [record.round.state for record in stored] == [record.round.state for record in history]
    assert n_trained == loop.n_trials(spec)
    assert [r.objective for record in stored for r in record.results] == pytest.approx(
        [r.objective for record in history for r in record.results], abs=1e-12
    )
    assert report.recommended is not None


def test_no_trial_is_leased_twice_and_a_repeated_request_gets_its_own(led: Led) -> None:
    first, second = led.ask(2, "key"), led.ask(5)
    assert [trial.k for trial, _ in (*first, *second)] == [0, 1, 2]
    assert [a.lease for _, a in led.ask(2, "key")] == [a.lease for _, a in first]
    assert led.ask() == []


def test_a_used_key_with_another_request_is_refused_and_hands_out_no_trial_that_has_ended(led: Led) -> None:
    first = led.ask(2, "key")
    with pytest.raises(ServiceConflict, match="another request body"):
        led.ask(1, "key")
    with pytest.raises(ServiceConflict, match="another request body"):
        led.ask(3, "key")
    (trial, attempt), second = first
    led.train(trial, attempt.lease or "")
    assert [same.id for same, _ in led.ask(2, "key")] == [second[0].id]
    led.run_out(second[1].lease or "")
    led.orchestrator.advance(led.job_id)
    assert led.ask(2, "key") == []
    assert [again.id for again, _ in led.ask(1, "other key")] == [second[0].id]


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (TrialResult(0, 0, objective=0.25), TrialResult(0, 0, objective=0.5)),
        (TrialResult(0, 0, objective=0.25), TrialResult(0, 0, failed=True, reason="NaN")),
        (TrialResult(0, 0, failed=True, reason="NaN"), TrialResult(0, 0, objective=0.25)),
        (TrialResult(0, 0, failed=True, reason="NaN"), TrialResult(0, 0, failed=True, reason="diverged")),
    ],
)
def test_another_end_than_the_one_told_before_is_refused(led: Led, first: TrialResult, again: TrialResult) -> None:
    [(trial, attempt)] = led.ask()
    for _ in range(2):
        told = led.report(attempt.lease or "", trial, end=first)
        assert (told.stale, told.objective) == ("", first.objective)
    with pytest.raises(ServiceConflict, match="has ended before"):
        led.report(attempt.lease or "", trial, end=again)
    assert led.trial(trial.id).objective == first.objective


def test_a_trial_given_back_twice_is_given_back_once(led: Led) -> None:
    [(trial, attempt)] = led.ask()
    lost = PopulationLost(PopulationKey(led.job_id, 0, trial.group, 1), "given back", True)
    for _ in range(2):
        assert not led.report(attempt.lease or "", trial, end=lost).stale
    assert led.trial(trial.id).state == "pending"
    assert [a.n_stale for a in led.attempts(trial.id)] == [0]


def test_a_lease_that_ran_out_goes_to_somebody_else_and_its_late_report_changes_nothing(led: Led) -> None:
    [(trial, old)] = led.ask()
    led.report(old.lease or "", trial, epochs=[metrics(trial, 0, 0.4)])
    led.run_out(old.lease or "")
    assert not led.orchestrator.advance(led.job_id)
    assert led.trial(trial.id).state == "pending"

    [(same, new)] = led.ask()
    assert (same.id, new.attempt) == (trial.id, 2)
    late = led.report(old.lease or "", trial, epochs=[metrics(trial, 1, 0.99)])
    assert "ran out" in late.stale
    assert led.report(old.lease or "", trial, end=TrialResult(0, trial.k, objective=0.01)).stale
    assert led.trial(trial.id).state == "leased"
    with led.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Epoch).where(Epoch.trial_id == trial.id)) == 1
    assert [a.n_stale for a in led.attempts(trial.id)] == [2, 0]

    led.train(same, new.lease or "")
    assert led.trial(trial.id).state == "succeeded"


def test_an_expired_lease_is_refused_before_anybody_took_the_trial_back(led: Led) -> None:
    [(trial, attempt)] = led.ask()
    led.run_out(attempt.lease or "")
    assert led.report(attempt.lease or "", trial, epochs=[metrics(trial, 0, 0.4)]).stale
    assert led.trial(trial.id).state == "pending"


def test_a_report_prolongs_the_lease(led: Led) -> None:
    [(trial, attempt)] = led.ask()
    before = attempt.lease_until
    after = led.report(attempt.lease or "", trial).lease_until
    assert before is not None
    assert after is not None
    assert after >= before


def test_a_trial_lost_too_often_fails(led: Led) -> None:
    for _ in range(2):
        [(trial, attempt)] = led.ask()
        led.run_out(attempt.lease or "")
        led.orchestrator.advance(led.job_id)
    assert (trial.k, led.trial(trial.id).state) == (0, "failed")
    assert "given up after 2 attempts" in led.trial(trial.id).reason


def test_the_death_of_the_dispatcher_takes_no_lease_away(led: Led) -> None:
    [(trial, attempt)] = led.ask()
    with led.database.write() as session:
        session.get_one(Job, led.job_id).lease_owner = OTHER
    Orchestrator(led.database, led.backend, OTHER).take_over(led.job_id)
    led.train(trial, attempt.lease or "")
    assert led.trial(trial.id).state == "succeeded"


def test_told_twice_is_told_once(led: Led) -> None:
    [(trial, attempt)] = led.ask()
    led.train(trial, attempt.lease or "")
    ended = led.trial(trial.id)
    again = led.report(attempt.lease or "", trial, end=TrialResult(0, trial.k, objective=ended.objective))
    assert not again.stale
    assert (again.state, again.objective) == ("succeeded", ended.objective)
    assert led.trial(trial.id).objective == ended.objective


def test_an_unknown_lease_and_one_of_another_trial_are_refused(led: Led) -> None:
    (first, mine), (second, _) = led.ask(2)
    with pytest.raises(NotFound, match="lease"):
        led.report("guessed", first)
    with pytest.raises(NotFound, match="lease"):
        led.report(mine.lease or "", second)


def test_a_paused_job_leases_nothing_and_a_cancelled_one_refuses_reports(led: Led) -> None:
    [(trial, attempt)] = led.ask()
    with led.database.write() as session:
        repository.pause_job(session, led.job_id)
    assert led.ask() == []
    led.report(attempt.lease or "", trial, epochs=[metrics(trial, 0, 0.4)])
    with led.database.write() as session:
        repository.cancel_job(session, led.job_id)
    assert led.orchestrator.advance(led.job_id)
    assert "cancelled" in led.report(attempt.lease or "", trial, epochs=[metrics(trial, 1, 0.4)]).stale


# --- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a loop that waits for the next round."""
    monkeypatch.setattr(own_loop, "ROUND_WAIT_S", 0.05)


@pytest.fixture
def client(service: Any) -> Iterator[S2EClient]:
    with S2EClient(service.url) as connected:
        yield connected


def test_two_programs_share_a_job_with_a_few_lines_in_their_loops(client: S2EClient, dispatching: None) -> None:
    job = client.submit(SMALL)
    trained: list[str] = []

    def program(name: str) -> None:
        with S2EClient(client.url) as own:
            for trial in own_trials(own, job.id, worker=name):
                for epoch, keep_rate in trial.schedule:
                    assert keep_rate == trial.keep_rate[epoch]
                    trial.report(validation_accuracy=accuracy(trial.keep_rate, epoch), test_accuracy=0.5)
                trained.append(trial.id)

    threads = [threading.Thread(target=program, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert client.job(job.id).state == "completed"
    trials = list(client.trials(job.id))
    assert sorted(trained) == sorted(t.id for t in trials)
    assert {t.state for t in trials} == {"succeeded"}
    assert {t.attempt for t in trials} == {1}
    assert len(client.report(job.id).keep_rate) == 6
    assert {a.worker for t in trials for a in client.trial(t.id).attempts} <= {"a", "b"}
    assert client.epochs(trials[0].id).total == 6


def test_a_program_that_leaves_its_loop_gives_the_trial_back(client: S2EClient, dispatching: None) -> None:
    job = client.submit(SMALL)
    trials = own_trials(client, job.id)
    left = next(trials)
    trials.close()
    assert client.trial(left.id).state == "pending"
    with pytest.raises(LeaseExpired, match="left unended"):
        left.report(validation_accuracy=0.5)
    trials = own_trials(client, job.id)
    failing = next(trials)
    assert failing.id == left.id
    failing.fail("loss became NaN")
    assert client.trial(left.id).reason == "loss became NaN"


@pytest.fixture
def leased(client: S2EClient, dispatching: None) -> tuple[str, str]:
    job = client.submit(SMALL)
    while not (trials := client.ask(job.id).trials):
        assert client.job(job.id).state in ("queued", "running")
    return trials[0].id, trials[0].lease


BAD_REPORTS: list[tuple[str, dict[str, Any], str]] = [
    ("epochs", {"epochs": [{"epoch": 6}]}, "epochs[0].epoch"),
    ("epochs", {"epochs": [{"epoch": 0, "validation_accuracy": 1.5}]}, "epochs[0].validation_accuracy"),
    ("epochs", {"epochs": [{"epoch": 0, "validation_accuracy": float("nan")}]}, "epochs[0].validation_accuracy"),
    ("epochs", {"epochs": [{}]}, "epochs[0].epoch"),
    ("epochs", {"lease_s": 0}, "lease_s"),
    ("result", {"validation_accuracy": float("nan")}, "validation_accuracy"),
    ("result", {"objective": 0.2}, "objective"),
    ("result", {"outcome": "won"}, "outcome"),
    ("result", {}, "validation_accuracy"),
]


def test_bad_reports_are_refused_by_name(http: httpx.Client, leased: tuple[str, str]) -> None:
    """None of them changes anything, so all of them are of one trial."""
    trial_id, lease = leased
    for verb, told, field in BAD_REPORTS:
        content = json.dumps({"lease": lease, **told})
        headers = {"Content-Type": "application/json"}
        response = http.post(f"/trials/{trial_id}/{verb}", content=content, headers=headers)
        assert response.status_code == 422, told
        assert [error["field"] for error in response.json()["errors"]] == [field], told
        assert http.get(f"/trials/{trial_id}").json()["state"] == "leased", told
        assert http.get(f"/trials/{trial_id}/epochs").json()["total"] == 0, told


def test_a_report_gets_the_same_answer_the_direct_way_and_fastapi_s(
    http: httpx.Client, leased: tuple[str, str]
) -> None:
    trial_id, lease = leased
    told = {"lease": lease, "epochs": [{"epoch": 0, "validation_accuracy": 0.5}]}

    def report(**headers: str) -> tuple[int, bytes, dict[str, str]]:
        answer = http.post(f"/trials/{trial_id}/epochs", json=told, headers=headers)
        return answer.status_code, answer.content, {**answer.headers, "x-request-id": "", "date": ""}

    report()
    direct, fastapis = report(), report(**{"Idempotency-Key": "not declared by this operation"})
    assert direct == fastapis
    assert direct[0] == 200
    report_epochs = Direct(next(route for route in BUSIEST if route.operation_id == "report_epochs"), PREFIX)
    scope = {"type": "http", "method": "POST", "path": f"/api/v1/trials/{trial_id}/epochs", "headers": []}
    assert report_epochs.params_of(scope) == {"trial_id": trial_id}
    for other in ({"headers": [(b"idempotency-key", b"x")]}, {"path": "/api/v1/trials/a_b/epochs"}):
        assert report_epochs.params_of(scope | other) is None


REFUSED = (
    ({"lease": "guessed"}, {}, 404),
    ({"lease": "x", "epochs": [{"epoch": -1}]}, {}, 422),
    ("no object", {}, 422),
    ({"lease": "x"}, {"Content-Type": "text/plain"}, 415),
    ({"lease": "x"}, {"Host": "elsewhere.example"}, 403),
    ({"lease": "x"}, {"Origin": "http://elsewhere.example"}, 403),
    ({"lease": "x" * 300_000}, {}, 413),
)


@pytest.mark.parametrize(("told", "headers", "status"), REFUSED)
def test_a_refusal_is_the_same_the_direct_way_and_fastapi_s(
    http: httpx.Client, leased: tuple[str, str], told: Any, headers: dict[str, str], status: int
) -> None:
    def report(**more: str) -> tuple[int, bytes, dict[str, str]]:
        about = {"Content-Type": "application/json", **headers, **more}
        answer = http.post(f"/trials/{leased[0]}/epochs", content=json.dumps(told), headers=about)
        return answer.status_code, answer.content, {**answer.headers, "x-request-id": "", "date": ""}

    direct, fastapis = report(), report(**{"Idempotency-Key": "not declared by this operation"})
    assert direct == fastapis
    assert direct[0] == status
    assert direct[2]["content-type"] == "application/problem+json"


def test_a_bug_on_the_direct_way_is_a_problem_document_and_a_line_in_the_log(
    http: httpx.Client, leased: tuple[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Writer, "carry_out", broken)
    answer = http.post(f"/trials/{leased[0]}/epochs", json={"lease": leased[1]})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "unhandled error" in caplog.text


def test_only_external_jobs_can_be_asked(client: S2EClient) -> None:
    job = client.submit({**SMALL, "trials": "internal"})
    with pytest.raises(Conflict, match="trained by the service"):
        client.ask(job.id)


def test_external_trials_are_groups_of_one() -> None:
    spec = parse_job(SMALL)
    round_ = loop.next_round(spec, [])
    assert round_ is not None
    assert [len(p.trials) for p in loop.populations(spec, round_)] == [1, 1, 1]
    assert len(loop.populations(replace(spec, trials="internal"), round_)) == 1


def test_a_training_reported_whole_has_the_final_figures_of_one_trained_here(led: Led) -> None:
    [(trial, attempt)] = led.ask()
    led.train(trial, attempt.lease or "")
    keep_rate = trial.spec["keep_rate"]
    accuracies = [accuracy(keep_rate, t) for t in range(len(keep_rate))]
    with led.database.read() as session:
        [stored] = [r for r in rounds.load_history(session, led.job_id)[0].results if r.k == trial.k]
    assert stored.final is not None
    assert stored.final.mean is not None
    assert stored.final.mean.best == pytest.approx(max(accuracies))


def test_a_number_of_one_s_own_stands_in_for_epochs_that_were_not_reported(led: Led) -> None:
    [(trial, attempt)] = led.ask()
    with led.database.write() as session:
        end = external.result(session, attempt.lease or "", trial.id, 0.75)
    assert (end.objective, end.validation_accuracy, end.final, end.failed) == (0.25, 0.75, None, False)


def test_the_loop_of_the_readme_ends_in_a_report_of_what_is_known(client: S2EClient, dispatching: None) -> None:
    """It reports validation accuracy alone: the comparison rests on that, and says so."""
    job = client.submit(SMALL)
    for trial in own_trials(client, job.id):
        with trial:
            for epoch, _ in trial.schedule:
                trial.report(validation_accuracy=accuracy(trial.keep_rate, epoch) + trial.init_seed % 97 / 10_000)
    report = client.report(job.id)
    assert report.measured == "validation_accuracy"
    for row in report.rows:
        assert row.test_accuracy == ()
        assert len(row.validation_accuracy) == 2
        assert row.mean == pytest.approx(sum(row.validation_accuracy) / 2)
    assert report.rows[1].difference is not None
    assert report.verdict.startswith("No test accuracy was reported")
    assert "to the end" not in report.verdict
    console = Console(record=True, width=120)
    print_report(report, console)
    assert "validation" in console.export_text()


# --- loops that live on, and loops that die ---------------------------------------------------------------------------


def test_an_exception_in_the_loop_is_the_trial_s_failure_and_goes_on_its_way(
    client: S2EClient, dispatching: None
) -> None:
    job = client.submit(SMALL)
    trials = own_trials(client, job.id)
    trial = next(trials)

    def train() -> None:
        with trial:
            for epoch, _ in trial.schedule:
                trial.report(validation_accuracy=1 / (1 - epoch))

    with pytest.raises(ZeroDivisionError):
        train()
    failed = client.trial(trial.id)
    assert (failed.state, failed.reason) == ("failed", "ZeroDivisionError: division by zero")
    following = next(trials)
    with pytest.raises(KeyboardInterrupt), following:
        raise KeyboardInterrupt
    assert client.trial(following.id).state == "pending"
    trials.close()


def test_a_trial_that_was_taken_back_is_left_and_the_loop_goes_on(client: S2EClient, dispatching: None) -> None:
    job = client.submit(SMALL)
    trials = own_trials(client, job.id)
    trial = next(trials)
    with trial:
        client.report_result(trial.id, trial.lease, outcome="lost", reason="taken back")
        trial.report(validation_accuracy=0.5)
        pytest.fail("a report of a trial that was taken back was accepted")
    assert next(trials).id == trial.id
    trials.close()


def test_a_restart_of_the_api_in_the_middle_of_a_training_is_survived(
    settings: Any, start_server: Any, dispatching: None
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.port = free.getsockname()[1]
    trained, halfway, back = [], threading.Event(), threading.Event()

    def program() -> None:
        with S2EClient(f"http://127.0.0.1:{settings.port}") as own:
            for trial in own_trials(own, own.submit(SMALL, idempotency_key="k").id):
                with trial:
                    for epoch, _ in trial.schedule:
                        if not trained and epoch == 3:
                            halfway.set()
                            back.wait(30)
                        trial.report(validation_accuracy=accuracy(trial.keep_rate, epoch))
                trained.append(trial.id)

    thread = threading.Thread(target=program)
    with start_server(settings):
        thread.start()
        assert halfway.wait(30)
    back.set()
    time.sleep(0.5)
    with start_server(settings) as running:
        thread.join(60)
        assert not thread.is_alive()
        with S2EClient(running.url) as client:
            [job] = client.jobs()
            assert job.state == "completed"
            assert {t.attempt for t in client.trials(job.id)} == {1}
            assert client.epochs(trained[0]).total == 6


PROGRAM = """
import os, sys
from s2e.client import S2EClient, own_loop
own_loop.ALIVE_S = 1.0
client = S2EClient(sys.argv[1])
trials = own_loop.own_trials(client, sys.argv[2])
print(next(trials).id, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_a_dead_loop_s_trial_is_taken_back_soon_and_a_slow_one_keeps_its_own(
    client: S2EClient, dispatching: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have the default of ten minutes between two reports; one of them dies."""
    job = client.submit(SMALL)
    died = subprocess.run(
        [sys.executable, "-c", PROGRAM, client.url, job.id], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert died.returncode == -9
    monkeypatch.setattr(own_loop, "ALIVE_S", 1.0)
    trials = own_trials(client, job.id)
    slow = next(trials)
    deadline_s = time.monotonic() + 60
    while client.trial(died.stdout.strip()).state != "pending":
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    time.sleep(1.5)  # longer than the lease, without a report
    slow.report(validation_accuracy=0.5)
    assert client.trial(slow.id).attempt == 1
    trials.close()
