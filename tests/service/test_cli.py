"""The command line, mostly against the real server: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from s2e import __main__ as bare
from s2e import __version__
from s2e.client.http import S2EClient
from s2e.words import to_json
from service.api.app import openapi_text
from service.cli.main import main
from service.cli.options import BAD_INPUT, FAILED, REFUSED, UNREACHABLE
from service.dispatch.dispatcher import Dispatcher
from service.settings import Settings
from service.store.engine import Database
from workers.backend import PopulationKey
from workers.simulated import Loss, SimulatedBackend, SimulatedTrial

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = """
name = "tiny"
[data]
n_train = 200
[train]
n_epochs = 2
batch_size = 64
[search]
n_rounds = 2
n_trials = 2
[report]
n_seeds = 2
max_seeds = 2
n_candidates = 1
taus = [0.5]
"""
# As wide as a network has to be to tell the digits apart, for estimates that train a dozen of them.
SMALL_NETWORK = 'network = "mlp_tabular"\nnetwork_params = { hidden = [32] }\n'


@dataclass
class Result:
    """Outcome of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def s2e(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> Result:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Result(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def at(service: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[S2EClient]:
    """The commands talk to a service of this test."""
    monkeypatch.setenv("S2E_URL", service.url)
    with S2EClient(service.url) as client:
        yield client


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.toml"
    path.write_text(TINY)
    return path


def test_the_version_is_the_one_of_the_package(s2e: Run) -> None:
    done = s2e("--version")
    assert done.code == 0
    assert done.out.startswith(f"s2e {__version__}, Python ")


def test_help_teaches(s2e: Run) -> None:
    ran = s2e("--help")
    assert ran.code == 0
    commands = ("serve", "api", "dispatcher", "submit", "jobs", "show", "cancel", "report", "search", "list")
    assert all(f" {command} " in ran.out for command in commands)
    assert "examples/digits.toml --watch" in ran.out
    for command in commands:
        assert s2e(command, "--help").code == 0


def test_submit_and_watch_ends_with_the_report(s2e: Run, at: S2EClient, job_file: Path, dispatching: None) -> None:
    ran = s2e("submit", job_file, "--watch")
    assert ran.code == 0, ran.err
    [job] = at.jobs()
    assert ran.out.startswith(f"{job.id}\n")
    assert "round 4 of at most 4 (retrain)" in ran.out
    assert at.report(job.id).verdict in " ".join(ran.out.split())
    assert f"{at.url}/jobs/{job.id}" in ran.out
    assert "1.0" in s2e("show", job.id).out
    assert s2e("report", job.id).out in ran.out
    assert json.loads(s2e("report", job.id, "--json").out) == to_json(at.report(job.id))


def test_submit_prints_the_id_and_the_page(s2e: Run, at: S2EClient, job_file: Path) -> None:
    ran = s2e("submit", job_file)
    [job] = at.jobs()
    assert ran.out == f"{job.id}\nwatch it: {at.url}/jobs/{job.id}\n"
    assert job.spec["train"]["n_epochs"] == 2


def test_a_job_file_as_json(s2e: Run, at: S2EClient, tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text('{"name": "from JSON"}')
    assert s2e("submit", path).code == 0
    assert [job.name for job in at.jobs()] == ["from JSON"]


@pytest.mark.parametrize("command", ["submit", "search"])
def test_a_bad_job_file_is_refused_with_field_value_and_allowed(
    s2e: Run, at: S2EClient, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "bad.toml"
    for text, expected in (
        ("[train]\nn_epochs = 0", "train.n_epochs = 0: a whole number, >= 1"),
        ("[train]\nlearning_rate = nan", "train.learning_rate = 'nan': a finite number"),
        ("[search]\nsearcher = 'nosuch'", "search.searcher = 'nosuch': one of asha"),
        ("surprise = 2026-01-01", "surprise = '2026-01-01': unknown field"),
        ("seed = ", "a readable TOML file"),
    ):
        path.write_text(text)
        refused = s2e(command, path)
        assert refused.code == BAD_INPUT, text
        assert expected in refused.err
        assert "Traceback" not in refused.err
    assert list(at.jobs()) == []


def test_a_missing_file_is_a_usage_error(s2e: Run) -> None:
    ran = s2e("submit", "nosuch.toml")
    assert ran.code == BAD_INPUT
    assert "nosuch.toml" in ran.err


def test_jobs_are_listed_with_whole_ids(s2e: Run, at: S2EClient, job_file: Path) -> None:
    made = [s2e("submit", job_file).out.split()[0] for _ in range(2)]
    assert re.findall(r"^ ?([0-9a-f-]{36})", s2e("jobs").out, re.MULTILINE) == made[::-1]
    assert [job["id"] for job in json.loads(s2e("jobs", "--json").out)] == made[::-1]
    assert json.loads(s2e("jobs", "--state", "failed", "--json").out) == []


def test_a_job_is_shown_paused_resumed_and_cancelled(s2e: Run, at: S2EClient, job_file: Path) -> None:
    job = s2e("submit", job_file).out.split()[0]
    shown = s2e("show", job).out
    assert "queued" in shown
    assert "0 of at most 4" in shown
    assert "no trial has succeeded yet" in shown
    assert json.loads(s2e("show", job, "--json").out) == to_json(at.job(job))
    assert [s2e(verb, job).out for verb in ("pause", "resume", "cancel")] == ["paused\n", "queued\n", "cancelled\n"]
    again = s2e("cancel", job)
    assert (again.code, "cannot become cancelled" in again.err) == (REFUSED, True)
    watched = s2e("watch", job)
    assert watched.code == FAILED
    assert "cancelled by the user" in watched.out


def test_a_job_that_cannot_be_trained_says_why_and_is_tried_again(
    s2e: Run, at: S2EClient, job_file: Path, settings: Settings
) -> None:
    """The data are missing at first; a dispatcher on simulated trainers checks the job and trains it."""
    data_are_there, stop = threading.Event(), threading.Event()

    def lost(key: PopulationKey) -> Loss | None:
        return None if data_are_there.is_set() else Loss(0, "mine.csv not found below S2E_DATA_ROOT", retryable=False)

    backend = SimulatedBackend(lambda trial: SimulatedTrial.constant(0.5, len(trial.keep_rate)), lost=lost)
    database = Database(settings.database_url)
    thread = threading.Thread(target=Dispatcher(database, backend, poll_s=0.01).run, args=(stop,))
    with capture_logs():  # of the dispatcher, which would stand between the lines that the commands print
        thread.start()
        try:
            refused = s2e("submit", job_file, "--watch")
            [job] = at.jobs()
            assert refused.code == FAILED
            assert "the job ended as failed: mine.csv not found below S2E_DATA_ROOT" in " ".join(refused.out.split())
            assert "failed: mine.csv not found" in s2e("show", job.id).out
            assert (s2e("report", job.id).code, job.progress.trials_done) == (REFUSED, 0)
            data_are_there.set()
            assert s2e("retry", job.id).out == "queued\n"
            assert s2e("watch", job.id).code == 0
            assert at.job(job.id).estimate is not None
            again = s2e("retry", job.id)
            assert (again.code, "a job that is completed cannot become queued" in again.err) == (REFUSED, True)
        finally:
            stop.set()
            thread.join(20)
            database.close()


def test_refusals_and_silence_have_their_own_exit_codes(s2e: Run, at: S2EClient) -> None:
    missing = s2e("show", "nosuch")
    assert (missing.code, missing.err) == (REFUSED, "no job 'nosuch'\n")
    early = s2e("report", at.submit({}).id)
    assert (early.code, "no report yet" in early.err) == (REFUSED, True)
    bad = s2e("jobs", "--state", "asleep")
    assert bad.code == REFUSED
    assert "state = 'asleep'" in bad.err
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = s2e("jobs", "--url", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert (nobody.code, "s2e serve" in nobody.err) == (UNREACHABLE, True)


def test_names_are_listed(s2e: Run) -> None:
    assert all(name in s2e("list").out for name in ("coteaching", "newton", "digits", "mlp", "s2e"))
    searchers = s2e("list", "searchers").out
    assert "newton_literal" in searchers
    assert "coteaching" not in searchers
    assert "sigua-set2" in s2e("list", "protocols").out
    assert s2e("list", "nosuch").code == BAD_INPUT
    methods = s2e("list", "methods").out
    assert "q = 0.7 (a finite number, > 0 and <= 1): exponent" in methods
    assert "official_double_softmax = False (true or false)" in methods
    told = {one["name"]: one for one in json.loads(s2e("list", "methods", "--json").out)["methods"]}
    assert {"name": "q", "default": 0.7}.items() <= told["gce"]["settings"][0].items()


def test_the_openapi_document_is_printed(s2e: Run) -> None:
    assert s2e("openapi").out == openapi_text()


@pytest.mark.parametrize("command", ["serve", "api"])
def test_it_is_not_exposed_without_a_key(
    s2e: Run, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2E_HOME", str(tmp_path))
    monkeypatch.setenv("S2E_HOST", "0.0.0.0")
    ran = s2e(command)
    assert ran.code == BAD_INPUT
    assert "S2E_API_KEY" in ran.err
    assert not list(tmp_path.rglob("*.db"))


def test_a_taken_port_is_named(s2e: Run, service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2E_HOME", str(tmp_path))
    monkeypatch.setenv("S2E_PORT", service.url.rpartition(":")[2])
    ran = s2e("serve")
    assert (ran.code, "--port" in ran.err) == (BAD_INPUT, True)


def test_a_bad_setting_is_named(s2e: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2E_PORT", "many")
    ran = s2e("migrate")
    assert (ran.code, "S2E_PORT" in ran.err) == (BAD_INPUT, True)


def test_a_dispatcher_needs_the_tables_and_migrate_makes_them(
    s2e: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2E_HOME", str(tmp_path))
    ran = s2e("dispatcher")
    assert (ran.code, "s2e migrate" in ran.err) == (BAD_INPUT, True)
    assert s2e("migrate").code == 0
    database = Database(Settings(home=tmp_path).database_url)
    assert database.at_head()
    database.close()


def test_a_search_in_this_process_keeps_files_and_equals_the_bare_loop(
    s2e: Run, job_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = s2e("search", job_file, "--output", tmp_path / "out")
    assert ran.code == 0, ran.err
    stored = json.loads((tmp_path / "out" / "search" / "search.json").read_text())
    assert (tmp_path / "out" / stored["report"]["recommended_model"]).stat().st_size > 0
    assert (
        json.loads((tmp_path / "out" / "search" / "schedule.json").read_text())["keep_rate"]
        == stored["report"]["keep_rate"]
    )
    assert stored["report"]["verdict"] in " ".join(ran.out.split())

    assert bare.main(["search", str(job_file)]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone["theta"] == [r["round"]["state"]["theta"] for r in stored["rounds"] if r["round"]["state"]]
    without_files = {"best_run_model": None, "recommended_model": None}
    assert alone["report"] == {**stored["report"], **without_files}


def test_a_comparison_in_this_process_prints_and_keeps_its_table(s2e: Run, tmp_path: Path) -> None:
    path = tmp_path / "compare.toml"
    entries = "".join(f'[[compare.entries]]\nmethod = "{method}"\n' for method in ("standard", "coteaching"))
    head = 'kind = "compare"\n[data]\nn_train = 200\n[train]\nn_epochs = 2\nbatch_size = 64\n[compare]\nn_seeds = 2\n'
    path.write_text(head + entries)
    ran = s2e("search", path, "--output", tmp_path / "out")
    assert ran.code == 0, ran.err
    stored = json.loads((tmp_path / "out" / "compare" / "compare.json").read_text())
    assert stored["report"]["verdict"] in " ".join(ran.out.split())
    assert [row["label"] for row in stored["report"]["rows"]] == ["standard", "coteaching"]
    for row in stored["report"]["rows"]:
        assert f"{100 * row['last_ten']['mean']:.1f} ±" in ran.out
        assert (tmp_path / "out" / row["model"]).stat().st_size > 0
    assert not (tmp_path / "out" / "compare" / "schedule.json").exists()


def test_a_search_without_its_data_says_what_to_set(s2e: Run, tmp_path: Path) -> None:
    path = tmp_path / "mnist.toml"
    path.write_text('[data]\nname = "mnist"\n[search]\nn_rounds = 1\n[train]\nn_epochs = 1\n')
    ran = s2e("search", path, "--output", tmp_path / "out")
    assert ran.code == FAILED
    assert "S2E_DATA_ROOT" in ran.err
    assert "Traceback" not in ran.err


def test_the_examples_are_jobs(s2e: Run, at: S2EClient) -> None:
    files = sorted(EXAMPLES.glob("*.toml"))
    assert files
    for file in files:
        assert s2e("submit", file).code == 0, file.name
    assert len(list(at.jobs())) == len(files)


def test_noise_is_estimated_from_a_job_file(s2e: Run, tmp_path: Path) -> None:
    """Confident learning said .53 here."""
    job = tmp_path / "job.toml"
    noise = 'kind = "symmetric"\nnoise_rate = 0.5'
    job.write_text(f"[data.noise]\n{noise}\n[train]\nbatch_size = 32\n{SMALL_NETWORK}")
    estimated = json.loads(s2e("estimate-noise", job, "--json").out)
    assert estimated["realised_noise_rate"] == pytest.approx(0.5, abs=0.04)
    assert estimated["noise_rate"] == pytest.approx(estimated["realised_noise_rate"], abs=0.04)
    low, high = estimated["interval"]
    assert 0 < low < estimated["noise_rate"] < high < 1
    assert len(estimated["transition"]) == len(estimated["transition"][0]) == 10
    assert estimated["kind"] == "symmetric"
    assert not any(alarm["code"] == "asymmetric" for alarm in estimated["alarms"])


def test_an_estimate_is_printed_with_what_speaks_against_it(s2e: Run, tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    job.write_text('[data.noise]\nkind = "pair"\nnoise_rate = 0.3\n[train]\nbatch_size = 64\n' + SMALL_NETWORK)
    printed = s2e("estimate-noise", job, "--folds", "2").out
    assert "997 labels" in printed
    assert re.search(r"noise rate 0\.\d+, 95 % 0\.\d+ to 0\.\d+$", printed, re.MULTILINE)
    assert "note classes are confused unevenly" in printed
    assert "largest confusions" in printed
    assert "suggested: report.tau = 0." in printed


def test_noise_that_cannot_be_estimated_is_refused(s2e: Run, tmp_path: Path) -> None:
    """Labels drawn at random for 10 classes: no held-out prediction says anything about them."""
    job = tmp_path / "job.toml"
    job.write_text("[data.noise]\nnoise_rate = 0.9\n[train]\nbatch_size = 64\n" + SMALL_NETWORK)
    refused = s2e("estimate-noise", job, "--folds", "2")
    assert refused.code == FAILED
    assert "the noise of these 997 labels cannot be estimated" in refused.err
    assert "standard errors" in refused.err
    assert not refused.out
    few = tmp_path / "few.toml"
    few.write_text("[data]\nn_train = 15\n[train]\nbatch_size = 4\n")
    refused = s2e("estimate-noise", few, "--folds", "20")
    assert refused.code == FAILED
    assert "20 folds need at least 20 labels, one for each: there are 15" in refused.err
