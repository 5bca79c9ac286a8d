"""The dashboard in a real Chromium, in front of the real service: api and dispatcher as processes, training inline.

Nothing is waited for by ``wait_for_function``: the content policy forbids the evaluation it needs. Locators wait.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
START_S = 60.0
PATIENCE_MS = 60_000
JOB = {
    "name": "digits <img src=x onerror=alert(1)>",
    "data": {"noise": {"kind": "symmetric", "noise_rate": 0.4}},
    "train": {"n_epochs": 6},
    "search": {"n_rounds": 2, "n_trials": 3},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.2], "ramp_epochs": 3},
}
N_TRIALS = 2 * 3 + 2 + 4 * 2
"""Two search rounds of three, tau = 0.2 and the default tau = 0.4, four schedules on two seeds."""

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium"),
]


@contextmanager
def running_service(verb: str, home: Path, **environment: str) -> Iterator[str]:
    """``s2e VERB`` on a free port with its data below ``home``; its address. Ended by SIGTERM."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("S2E_")}
    settings = {"S2E_HOME": str(home), "S2E_PORT": str(port), "S2E_BACKEND": "inline", **environment}
    log_path = home / "service.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli.main", verb], env=ours | settings, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url, process, log_path)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the service did not become ready: {log_path.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_service("serve", tmp_path_factory.mktemp("service")) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


@dataclass
class Witness:
    """Record of a page: complaints on its console, and every request."""

    complaints: list[str] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def watch(self, page: Any) -> None:
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append((request.resource_type, request.url)))

    def count(self, pattern: str) -> int:
        return sum(re.search(pattern, url) is not None for _, url in self.requests)

    def hosts(self) -> set[str]:
        return {urlsplit(url).netloc for _, url in self.requests}


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def page(browser: Any, witness: Witness) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    tab = context.new_page()
    witness.watch(tab)
    yield tab
    context.close()


def expect(locator: Any) -> Any:
    playwright.expect.set_options(timeout=PATIENCE_MS)
    return playwright.expect(locator)


def submit(service: str, job: dict[str, Any], *, paused: bool = False) -> str:
    """A job's id. A paused one stands still, in whatever round it is, until the page resumes it."""
    answer = httpx.post(f"{service}/api/v1/jobs", json=job)
    assert answer.status_code == 201, answer.text
    job_id: str = answer.json()["id"]
    if paused:
        assert httpx.post(f"{service}/api/v1/jobs/{job_id}/pause").status_code == 200
    return job_id


def press(page: Any, verb: str) -> None:
    """Click a verb of the job and confirm."""
    page.get_by_role("button", name=verb, exact=True).click()
    page.get_by_role("button", name=f"{verb} the job").click()


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[+-]?\d+(?:\.\d+)?", text.replace("\u2212", "-"))]


def test_job_is_followed_to_its_report(service: str, page: Any, witness: Witness) -> None:
    job_id = submit(service, JOB, paused=True)
    page.goto(service)
    row = page.locator(f"tr[data-job='{job_id}']")
    expect(row.locator(".badge")).to_have_text("paused")
    row.get_by_role("link").click()

    expect(page.locator("h1")).to_have_text(JOB["name"])
    expect(page.locator("#live")).to_have_text("Live")
    before = page.locator("#progress").inner_text()
    assert f"of at most {N_TRIALS} trials" in before
    press(page, "Resume")
    expect(page.locator("#progress")).not_to_have_text(before)
    expect(page.locator("#state")).to_have_text("completed")
    expect(page.locator("#progress")).to_contain_text(f"{N_TRIALS} of {N_TRIALS} trials")

    report = httpx.get(f"{service}/api/v1/jobs/{job_id}/report").json()
    check_comparison(page, report)
    check_recommendation(page, report)
    expect(page.locator("#fan figcaption")).to_contain_text("Mean width of the 5–95 % band")
    expect(page.locator("#curves figcaption")).to_contain_text("last epoch validation")
    assert page.locator("canvas").count() == 4
    assert witness.complaints == []
    assert witness.hosts() == {urlsplit(service).netloc}
    assert [kind for kind, _ in witness.requests].count("document") == 2, "the list and the job: no reload"
    # Asked once at the start, once for each of at most four rounds, once at the end: never once per event.
    assert witness.count(r"/schedules\?") <= 6


def check_comparison(page: Any, report: dict[str, Any]) -> None:
    """The table and the verdict on the page are those of the API's report, to the decimal that is shown."""
    expect(page.locator("#verdict")).to_have_text(report["verdict"])
    expect(page.locator("#comparison tbody tr")).to_have_count(4)
    for expected in report["rows"]:
        row = page.locator(f"#comparison tr[data-label='{expected['label']}']")
        expect(row.locator("th")).to_have_text(expected["title"])
        cells = row.locator("td")
        shown = numbers(cells.nth(0).inner_text()) + numbers(cells.nth(1).inner_text())
        values = [expected["mean"], expected["half_width"], expected["label_precision"]]
        assert shown == pytest.approx([100 * value for value in values], abs=0.051)
        difference = [expected["difference"], expected["difference_half_width"]]
        assert numbers(cells.nth(2).inner_text()) == pytest.approx(
            [100 * d for d in difference if d is not None], abs=0.051
        )
        assert row.locator("circle").count() == len(expected["test_accuracy"]) == 2


def check_recommendation(page: Any, report: dict[str, Any]) -> None:
    """The recommended schedule is the report's in the tile, on the chart, in the trials table and behind the link."""
    index, k = report["recommended"]
    expect(page.locator("#recommended")).to_contain_text(f"Round {index}, trial {k},")
    expect(page.locator("#recommended")).to_contain_text(report["recommended_model"])
    expect(page.locator("#schedules figcaption")).to_contain_text(f"Recommended: round {index}, trial {k}")
    row = page.locator("#trials tr", has_text="recommended")
    expect(row).to_have_count(1)
    assert row.locator("td").all_inner_texts()[:2] == [str(index), str(k)]
    link = page.get_by_role("link", name="Schedule R(t) as JSON").get_attribute("href")
    assert page.request.get(urlsplit(page.url)._replace(path=link).geturl()).json()["keep_rate"] == report["keep_rate"]


def test_a_trial_is_chosen_by_table_and_by_list(service: str, page: Any) -> None:
    parameters = {"train.learning_rate": {"kind": "log", "low": 1e-3, "high": 1e-2}}
    search = {"searcher": "random", "n_rounds": 1, "n_trials": 2, "parameters": parameters}
    job_id = submit(service, {**JOB, "name": "choose", "search": search})
    page.goto(f"{service}/jobs/{job_id}")
    expect(page.locator("#state")).to_have_text("completed")
    page.locator("#trials-filter").select_option("tune")
    page.get_by_role("button", name="eq. (1), tau 0.2").click()
    expect(page.locator("#curves figcaption")).to_contain_text("round 1, trial 0 (eq. (1), tau 0.2), succeeded")
    page.locator("#trial-select").select_option(index=1)
    own = httpx.get(f"{service}/api/v1/jobs/{job_id}/trials").json()["items"][1]["train"]["learning_rate"]
    expect(page.locator("#curves figcaption")).to_contain_text(f"round 0, trial 1 (search, learning_rate {own:.3g})")
    page.locator("#trials-filter").select_option("search")
    expect(page.locator("#trials tbody tr").nth(1)).to_contain_text(f"learning_rate {own:.3g}")
    expect(page.locator("#recommended")).to_contain_text("With learning_rate 0.00")


COMPARISON = {
    "name": "compared",
    "kind": "compare",
    "data": {"noise": {"kind": "symmetric", "noise_rate": 0.4}},
    "train": {"n_epochs": 6},
    "compare": {
        "n_seeds": 2,
        "entries": [
            {"label": "Standard", "method": "standard"},
            {"label": "Co-teaching, <b>tau</b> 0.2", "method": "coteaching", "schedule": {"kind": "tau", "tau": 0.2}},
        ],
    },
}


def test_a_comparison_shows_its_report_and_the_curves_of_its_entries(service: str, page: Any, witness: Witness) -> None:
    job_id = submit(service, COMPARISON, paused=True)
    page.goto(f"{service}/jobs/{job_id}")
    expect(page.locator("#compare")).to_contain_text("Not there yet")
    press(page, "Resume")
    expect(page.locator("#state")).to_have_text("completed")
    report = httpx.get(f"{service}/api/v1/jobs/{job_id}/report").json()
    expect(page.locator("#compare-verdict")).to_have_text(report["verdict"])
    rows = page.locator("#entries tbody tr")
    expect(rows).to_have_count(2)
    for i, expected in enumerate(report["rows"]):
        check_entry(rows.nth(i), expected, is_baseline=i == 0)
    expect(page.locator("#schedules")).to_be_hidden()
    expect(page.locator("#fan")).to_be_hidden()

    curves = page.locator("#compare-curves")
    expect(curves.locator("figcaption")).to_contain_text("Last epoch, test accuracy: Standard")
    expect(curves.locator("li")).to_have_text([row["label"] for row in report["rows"]])
    page.locator("#compare-metric").select_option("wrong_memorised")
    expect(curves.locator("figcaption")).to_contain_text("wrong labels: memorised")
    page.locator("#trials-filter").select_option("Standard")
    expect(page.locator("#trials tbody tr")).to_have_count(2)
    assert witness.complaints == []


def check_entry(row: Any, expected: dict[str, Any], *, is_baseline: bool) -> None:
    """Each column shows the figure it is headed with, to the decimal."""
    assert expected["label"] in row.locator("th").inner_text()
    assert ("baseline" in row.locator("th").inner_text()) == is_baseline
    cells = row.locator("td")
    for column, name in enumerate(("last_ten", None, None, "best", "at_best_validation", "ensemble_last_ten")):
        if name is not None:
            values = [100 * expected[name]["mean"], 100 * expected[name]["half_width"]]
            assert numbers(cells.nth(column).inner_text()) == pytest.approx(values, abs=0.051), name
    differences = [expected["last_ten"]["difference"], expected["last_ten"]["difference_half_width"]]
    shown = numbers(cells.nth(1).inner_text())
    assert shown == pytest.approx([100 * d for d in differences if d is not None], abs=0.051)
    assert row.locator("circle").count() == 2


def test_a_trial_is_seen_network_by_network_and_by_what_it_memorises(service: str, page: Any) -> None:
    job_id = submit(service, {**COMPARISON, "name": "views"})
    page.goto(f"{service}/jobs/{job_id}")
    expect(page.locator("#state")).to_have_text("completed")
    trials = httpx.get(f"{service}/api/v1/jobs/{job_id}/trials").json()["items"]
    page.locator("#trial-select").select_option(trials[1]["id"])
    figure = page.locator("#curves")
    page.locator("#trial-view").select_option("networks")
    lines = ["validation, ensemble", "test, ensemble"]
    lines += [f"{part}, network {n}" for n in (0, 1) for part in ("validation", "test")]
    expect(figure.locator("li")).to_have_text(lines)
    page.locator("#trial-view").select_option("memorisation")
    series = httpx.get(f"{service}/api/v1/trials/{trials[1]['id']}/epochs").json()["series"]
    for words, name in (("clean label: correct", "clean_correct"), ("wrong label: memorised", "wrong_memorised")):
        expect(figure.locator("figcaption")).to_contain_text(f"{words} {100 * series[name][-1]:.1f}")


def test_a_job_is_cancelled_on_the_page(service: str, page: Any, witness: Witness) -> None:
    job_id = submit(service, {**JOB, "name": "to be cancelled", "train": {"n_epochs": 2000}})
    page.goto(f"{service}/jobs/{job_id}")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Keep as it is").click()
    assert httpx.get(f"{service}/api/v1/jobs/{job_id}").json()["state"] in ("queued", "checking", "running")
    press(page, "Cancel")
    expect(page.locator("#state")).to_have_text("cancelled")
    expect(page.locator("#result")).to_contain_text("The job was cancelled before its comparison")
    expect(page.locator("#controls button:visible")).to_have_count(0)
    assert witness.complaints == []


@pytest.mark.parametrize("job_id", ["no-such-job", "01980000-0000-7000-8000-000000000000", "%3Cb%3E"])
def test_a_wrong_address_says_so(service: str, page: Any, job_id: str) -> None:
    page.goto(f"{service}/jobs/{job_id}")
    expect(page.get_by_role("alert")).to_contain_text("There is no such job")
    page.get_by_role("link", name="Back to the list of jobs").click()
    expect(page.locator("h1")).to_have_text("Jobs")


def test_a_key_is_asked_for_and_opens_a_session(tmp_path: Path, page: Any) -> None:
    with running_service("api", tmp_path, S2E_API_KEY="correct horse") as url:
        page.goto(url)
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("API key").last.fill("wrong")
        dialog.get_by_role("button").click()
        expect(dialog.get_by_role("alert")).not_to_be_empty()
        dialog.get_by_label("API key").last.fill("correct horse")
        dialog.get_by_role("button").click()
        expect(dialog).to_have_count(0)
        expect(page.locator("#jobs")).to_contain_text("No job yet")
        expect(page.locator("#jobs")).to_contain_text("s2e submit")


def test_a_data_set_is_shown_and_removed(browser: Any, page: Any, witness: Witness, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    rows = "".join(f"{i % 5},{i},{'<b>a</b>' if i % 3 else 'b'}\n" for i in range(40))
    (root / "t.csv").write_text(f"x,z,y\n{rows}0,0,b\n")
    with running_service("serve", tmp_path, S2E_DATA_ROOT=str(root)) as url:
        asked = {"name": "mine", "kind": "table", "params": {"path": "t.csv", "label": "y"}}
        answer = httpx.post(f"{url}/api/v1/datasets", json=asked, timeout=60)
        assert answer.status_code == 201, answer.text
        page.goto(url)
        page.get_by_role("link", name="Data sets").click()
        page.locator("tr[data-set='mine']").get_by_role("link").click()
        expect(page.locator("#set-title")).to_have_text("mine")
        expect(page.locator(".facts")).to_contain_text("1, 0 of them with another label")
        expect(page.locator(".classes tr").first).to_contain_text("<b>a</b>")
        press_remove = page.get_by_role("button", name="Remove", exact=True)
        press_remove.click()
        page.get_by_role("button", name="Remove the data set").click()
        expect(page.locator("#sets")).to_contain_text("No data set is registered")
        expect(page.locator("#set")).to_be_hidden()
        assert httpx.get(f"{url}/api/v1/datasets/mine").status_code == 404
    assert witness.complaints == []
