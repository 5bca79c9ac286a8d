"""A typed client of the REST API.

    with S2EClient("http://127.0.0.1:8642") as client:
        job = client.submit({"search": {"n_rounds": 3}})
        for event in client.events(job.id):
            print(event.kind, event.data)
        print(client.report(job.id).verdict)

Its errors are in :mod:`s2e.client.errors`.
"""

from __future__ import annotations

import functools
import json
import random
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from datetime import time as time_of_day
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from s2e.address import DEFAULT_URL
from s2e.client.datasets import DatasetCalls
from s2e.client.errors import TooMany, Unavailable, UnknownAnswer, Unreachable, WrongKind, refusal
from s2e.client.hooks import HookCalls
from s2e.client.people import PeopleCalls
from s2e.words import JobSpec, UnreadableError, read, to_json
from s2e.words.answers import (
    REPORTS,
    Asked,
    ComparisonReport,
    Curves,
    Items,
    Job,
    JobLabel,
    JobLabels,
    JobRound,
    JobSchedule,
    JobTrial,
    LogLine,
    NumberTables,
    Page,
    ReportedTrial,
    SearchReport,
    TrialDetail,
    TrialEpochs,
    TrialSchedules,
    Worker,
)
from s2e.words.asks import LEASE_S
from s2e.words.states import JOB_ENDED

Shape = TypeVar("Shape")
RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0)
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses between tries of one request, each somewhat shortened at random; the last one again and again."""
MOST_ITEMS = 200
"""Of one page."""
SILENT_S = 45.0
"""The stream sends a ping every 15 s; a connection silent for longer is dead."""


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The certificates trusted; to read them takes longer than a request, so the clients of a process share them."""
    return httpx.create_ssl_context()


@dataclass(frozen=True)
class JobEvent:
    """One event of a job's stream."""

    id: int
    kind: str
    data: dict[str, Any]

    @property
    def is_end(self) -> bool:
        """True if it says that the job has ended."""
        return self.kind == "job" and self.data["state"] in JOB_ENDED


class S2EClient(PeopleCalls, DatasetCalls, HookCalls):
    """One service. ``key`` is needed where the service has one.

    A service that has answered before and is away now, or says that it cannot serve for the moment, is asked again for
    ``patience_s`` seconds, so a restart goes unnoticed. Only requests that are safe to repeat are sent twice.
    """

    def __init__(
        self, url: str = DEFAULT_URL, key: str | None = None, timeout_s: float = 30.0, patience_s: float = 60.0
    ) -> None:
        self.url = url.rstrip("/")
        self._patience_s, self._has_answered = patience_s, False
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s, verify=_certificates())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ready(self) -> bool:
        """True if a job that is submitted now is going to be trained: the service answers, and a dispatcher works."""
        return not self.not_ready()

    def not_ready(self) -> str:
        """Why the service cannot work now; empty when it can."""
        try:
            response = self._http.get("/readyz")
        except httpx.TransportError as error:
            return f"no service answers at {self.url} ({type(error).__name__})"
        return "" if response.is_success else refusal(response).detail

    def submit(self, job: JobSpec | Mapping[str, Any], idempotency_key: str | None = None) -> Job:
        """Submit a job; with the key of an earlier submission of the same body, that job again.

        A mapping is sent as it is, and the service alone judges it.
        """
        body = json.dumps(to_json(job) if isinstance(job, JobSpec) else dict(job), default=_plain)
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4()), "Content-Type": "application/json"}
        return self._ask(Job, "POST", "/jobs", content=body, headers=headers)

    def job(self, job_id: str) -> Job:
        return self._ask(Job, "GET", f"/jobs/{job_id}")

    def jobs(
        self, state: str | None = None, *, kind: str | None = None, name: str | None = None, sort: str = "-created"
    ) -> Iterator[Job]:
        """All jobs, newest first unless told; of a state, a kind, or with a part of a name."""
        return self._pages(Page[Job], "/jobs", {"state": state, "kind": kind, "name": name, "sort": sort})

    def cancel(self, job_id: str) -> Job:
        return self._ask(Job, "POST", f"/jobs/{job_id}/cancel")

    def pause(self, job_id: str) -> Job:
        return self._ask(Job, "POST", f"/jobs/{job_id}/pause")

    def resume(self, job_id: str) -> Job:
        return self._ask(Job, "POST", f"/jobs/{job_id}/resume")

    def change(self, job_id: str, priority: int) -> Job:
        """Give a job another priority among those of its owner."""
        return self._ask(Job, "PATCH", f"/jobs/{job_id}", json={"priority": priority}, twice=True)

    def delete(self, job_id: str) -> None:
        """Delete a job that has ended, with its files. Raises NotFound, Conflict."""
        self._request("DELETE", f"/jobs/{job_id}")

    def retry(self, job_id: str) -> Job:
        """Another try at a failed job, which trains only what failed."""
        return self._ask(Job, "POST", f"/jobs/{job_id}/retry")

    def rounds(self, job_id: str) -> Iterator[JobRound]:
        """All rounds of a job, in order."""
        return self._pages(Page[JobRound], f"/jobs/{job_id}/rounds", {})

    def trials(
        self,
        job_id: str,
        round_: int | None = None,
        label: str | None = None,
        *,
        state: str | None = None,
        sort: str = "place",
    ) -> Iterator[JobTrial]:
        """Trials of a job by (round, k), or by a number: ``sort="objective"``, ``sort="-test_accuracy"``."""
        params = {"round": round_, "label": label, "state": state, "sort": sort}
        return self._pages(Page[JobTrial], f"/jobs/{job_id}/trials", params)

    def lines(self, path: str, *fields: str, **params: Any) -> Iterator[dict[str, Any]]:
        """A whole list as it comes over one connection, each item as plain JSON with these fields: for long ones.

        ``client.lines(f"/jobs/{job_id}/trials", "round", "k", "objective", state="succeeded")``
        """
        wanted = _given({**params, "format": "ndjson", "fields": ",".join(fields) or None})
        with self._stream_of(path, {}, params=wanted) as response:
            for line in response.iter_lines():
                yield json.loads(line)

    def trial(self, trial_id: str) -> TrialDetail:
        return self._ask(TrialDetail, "GET", f"/trials/{trial_id}")

    def epochs(self, trial_id: str, max_points: int = 200, attempt: int | None = None) -> TrialEpochs:
        """Curves of a trial, thinned to ``max_points``."""
        params = _given({"max_points": max_points, "attempt": attempt})
        return self._ask(TrialEpochs, "GET", f"/trials/{trial_id}/epochs", params=params)

    def logs(self, trial_id: str) -> Iterator[LogLine]:
        """The log of a trial: what its trainers logged, and what became of every try at it."""
        return self._pages(Page[LogLine], f"/trials/{trial_id}/logs", {})

    def job_logs(self, job_id: str) -> Iterator[LogLine]:
        """The log of a job: its states, what its check logged, and which trials failed or were lost."""
        return self._pages(Page[LogLine], f"/jobs/{job_id}/logs", {})

    def schedule(self, job_id: str) -> JobSchedule:
        """The recommended R(t), provisional while the job runs."""
        return self._ask(JobSchedule, "GET", f"/jobs/{job_id}/schedule")

    def schedules(
        self, job_id: str, max_points: int = 60, since: int | None = None, digits: int | None = None
    ) -> TrialSchedules:
        """R(t) of every trial, thinned; with the ``last_event_id`` of an earlier answer, of what has changed since."""
        params = _given({"max_points": max_points, "since": since, "digits": digits})
        return self._ask(TrialSchedules, "GET", f"/jobs/{job_id}/schedules", params=params)

    def report(self, job_id: str) -> SearchReport:
        """The report of a search. Raises NotFound until the job has completed, WrongKind for a comparison."""
        report = self.any_report(job_id)
        if not isinstance(report, SearchReport):
            raise WrongKind(job_id, "search")
        return report

    def comparison(self, job_id: str) -> ComparisonReport:
        """The report of a comparison. Raises NotFound until the job has completed, WrongKind for a search."""
        report = self.any_report(job_id)
        if not isinstance(report, ComparisonReport):
            raise WrongKind(job_id, "compare")
        return report

    def any_report(self, job_id: str) -> SearchReport | ComparisonReport:
        """The report of a job of either kind. Raises NotFound until it has completed."""
        path = f"/jobs/{job_id}/report"
        data = self._request("GET", path).json()
        return _shaped(REPORTS.get(data.get("kind"), SearchReport), data, path)

    def numbers(self) -> NumberTables:
        """Every number that is measured or reported, with its title and unit."""
        return self._ask(NumberTables, "GET", "/numbers")

    def save_model(self, trial_id: str, folder: str | Path = ".") -> Path:
        """Fetch the networks of a trial and their description; the file for :func:`s2e.load_model`.

        Raises NotFound where no model was kept.
        """
        path = Path(folder) / f"trial-{trial_id}.safetensors"
        described = self._request("GET", f"/trials/{trial_id}/model", params={"format": "json"}).content
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        with self._stream_of(f"/trials/{trial_id}/model", {}) as response, partial.open("wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
        path.with_suffix(".json").write_bytes(described)
        partial.replace(path)
        return path

    def save_table(self, path: str, file: str | Path, **params: Any) -> None:
        """Write the table at an address below /api/v1: ``/jobs/{id}/schedule``, ``/jobs/{id}/curves``,
        ``/trials/{id}/epochs``. As CSV or, for a file that ends in ``.parquet``, as Parquet."""
        wanted = "parquet" if Path(file).suffix == ".parquet" else "csv"
        Path(file).write_bytes(self._request("GET", path, params={**_given(params), "format": wanted}).content)

    def labels(
        self,
        job_id: str,
        score: str | None = None,
        given: str | None = None,
        likely: str | None = None,
        issues: bool = False,
        split: str | None = None,
    ) -> Iterator[JobLabel]:
        """A job's given labels, the one most likely wrong first, judged by ``cross_fitted`` networks or by the
        job's own (``free``); of all rows, or of one ``split``: train, validation or test. Raises NotFound where nothing
        is known of them."""
        asked: dict[str, Any] = {"score": score, "given": given, "likely": likely, "issues": issues, "split": split}
        page = self.worst_labels(job_id, MOST_ITEMS, **asked)
        while True:
            yield from page.items
            if page.next_cursor is None:
                return
            page = self.worst_labels(job_id, MOST_ITEMS, page.next_cursor, **asked)

    def worst_labels(self, job_id: str, limit: int = 50, cursor: str | None = None, **asked: Any) -> JobLabels:
        """One page of :meth:`labels`, with how many there are and what the numbers mean."""
        params = _given({"limit": limit, "cursor": cursor, **_labels_asked(**asked)})
        return self._ask(JobLabels, "GET", f"/jobs/{job_id}/labels", params=params)

    def save_labels(self, job_id: str, file: str | Path, **asked: Any) -> Path:
        """Write :meth:`labels` as a table: CSV, or Parquet where the name ends so."""
        path = Path(file)
        wanted = "parquet" if path.suffix == ".parquet" else "csv"
        params = {"format": wanted, **_labels_asked(**asked)}
        path.write_bytes(self._request("GET", f"/jobs/{job_id}/labels", params=params).content)
        return path

    def curves(self, job_id: str, metric: str = "test_accuracy", max_points: int = 120) -> Curves:
        """Mean and range over the trials of each label, epoch by epoch."""
        params = {"metric": metric, "max_points": max_points}
        return self._ask(Curves, "GET", f"/jobs/{job_id}/curves", params=params)

    def ask(
        self,
        job_id: str,
        n_trials: int = 1,
        worker: str = "",
        lease_s: float = LEASE_S,
        idempotency_key: str | None = None,
    ) -> Asked:
        """Lease trials of a job with ``trials: external``; :mod:`s2e.client.own_loop` makes a loop of it."""
        body = {"n_trials": n_trials, "worker": worker, "lease_s": lease_s}
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._ask(Asked, "POST", f"/jobs/{job_id}/trials:ask", json=body, headers=headers)

    def report_epochs(self, trial_id: str, lease: str, *epochs: Mapping[str, Any], **more: Any) -> ReportedTrial:
        """Report epochs of a leased trial, or with none of them prolong its lease. Raises LeaseExpired."""
        body = {"lease": lease, "epochs": [dict(epoch) for epoch in epochs], **more}
        return self._ask(ReportedTrial, "POST", f"/trials/{trial_id}/epochs", json=body, twice=True)

    def report_result(self, trial_id: str, lease: str, **result: Any) -> ReportedTrial:
        """End a leased trial: ``outcome``, ``reason``, ``validation_accuracy``. Raises LeaseExpired."""
        body = {"lease": lease, **result}
        return self._ask(ReportedTrial, "POST", f"/trials/{trial_id}/result", json=body, twice=True)

    def workers(self) -> tuple[Worker, ...]:
        return self._ask(Items[Worker], "GET", "/workers").items

    def events(self, job_id: str, last_id: int = 0) -> Iterator[JobEvent]:
        """Events behind ``last_id`` until the job's end, over lost connections; Unreachable when none comes back.

        0 begins with the first; ``job(job_id).last_event_id`` with the first event after that answer.
        """
        n_failures = 0
        while True:
            try:
                for event in self._stream(job_id, last_id):
                    n_failures, last_id = 0, event.id
                    yield event
                    if event.is_end:
                        return
                if self.job(job_id).state in JOB_ENDED:
                    return
            except (Unreachable, Unavailable):
                if n_failures == len(RECONNECT_S):
                    raise
            time.sleep(RECONNECT_S[min(n_failures, len(RECONNECT_S) - 1)])
            n_failures += 1

    def wait(self, job_id: str) -> Job:
        """The job once it has ended."""
        for _ in self.events(job_id, self.job(job_id).last_event_id):
            pass
        return self.job(job_id)

    def _stream(self, job_id: str, last_id: int) -> Iterator[JobEvent]:
        """One connection's events."""
        headers = {"Last-Event-ID": str(last_id)} if last_id else {}
        timeout = httpx.Timeout(10.0, read=SILENT_S)
        with self._stream_of(f"/jobs/{job_id}/events", headers, timeout=timeout) as response:
            yield from _parse_events(response.iter_lines())

    @contextmanager
    def _stream_of(self, path: str, headers: Mapping[str, str], **more: Any) -> Iterator[httpx.Response]:
        """An answer that is read as it comes. Raises Unreachable wherever the connection breaks."""
        try:
            with self._http.stream("GET", "/api/v1" + path, headers=headers, **more) as response:
                if response.status_code >= 400:
                    response.read()
                    raise refusal(response)
                yield response
        except httpx.TransportError as error:
            raise Unreachable(self.url, error) from error

    def _pages(self, page: type[Page[Shape]], path: str, params: Mapping[str, Any]) -> Iterator[Shape]:
        cursor: str | None = None
        while True:
            answer = self._ask(page, "GET", path, params=_given({**params, "limit": MOST_ITEMS, "cursor": cursor}))
            yield from answer.items
            if (cursor := answer.next_cursor) is None:
                return

    def _ask(self, shape: type[Shape], method: str, path: str, **more: Any) -> Shape:
        return _shaped(shape, self._request(method, path, **more).json(), path)

    def _request(self, method: str, path: str, *, twice: bool = False, **more: Any) -> httpx.Response:
        """``twice``: sending it twice is the same as once; so it is of what only reads, or has an Idempotency-Key."""
        twice = twice or method == "GET" or "Idempotency-Key" in more.get("headers", {})
        until_s = time.monotonic() + self._patience_s
        for pause_s in chain(RETRY_S, repeat(RETRY_S[-1])):
            pause_s *= random.uniform(0.5, 1)  # noqa: S311  so that many clients do not come back at once
            try:
                return self._once(method, path, **more)
            except Unreachable as error:
                not_sent = isinstance(error.__cause__, httpx.ConnectError)
                if not self._has_answered or not (twice or not_sent) or time.monotonic() + pause_s > until_s:
                    raise
            except (TooMany, Unavailable) as error:
                pause_s = max(pause_s, error.retry_after_s)
                if time.monotonic() + pause_s > until_s:
                    raise
            time.sleep(pause_s)
        raise AssertionError("the pauses never end")

    def _once(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            response = self._http.request(method, "/api/v1" + path, **more)
        except httpx.TransportError as error:
            raise Unreachable(self.url, error) from error
        self._has_answered = True
        if not response.is_success:
            raise refusal(response)
        return response


def _shaped(shape: type[Shape], data: Any, path: str) -> Shape:
    """An answer as its class. Raises UnknownAnswer."""
    try:
        return read(shape, data)
    except UnreadableError as error:
        raise UnknownAnswer(path, error) from error


def _plain(value: Any) -> Any:
    """Plain JSON for what a job file may hold beyond it: other mappings, and TOML's dates and times, as their text."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, date | time_of_day):
        return value.isoformat()
    raise TypeError(f"a job holds {type(value).__name__}, which is no JSON")


def _labels_asked(
    score: str | None = None,
    given: str | None = None,
    likely: str | None = None,
    issues: bool = False,
    split: str | None = None,
) -> dict[str, Any]:
    return _given({"score": score, "given": given, "likely": likely, "issues": issues or None, "split": split})


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _parse_events(lines: Iterator[str]) -> Iterator[JobEvent]:
    """Server-sent events: fields until an empty line; comments (pings) begin with a colon."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields and "id" in fields:
                yield JobEvent(int(fields["id"]), fields.get("event", "message"), json.loads(fields["data"]))
            fields = {}
