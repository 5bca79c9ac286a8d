"""A typed client of the REST API.

    with S2EClient("http://127.0.0.1:8642") as client:
        job = client.submit({"search": {"n_rounds": 3}})
        for event in client.events(job.id):
            print(event.kind, event.data)
        print(client.report(job.id).verdict)

What it raises is in :mod:`s2e.client.errors`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import httpx
from pydantic import ValidationError

from s2e.client.errors import Unavailable, Unreachable, WrongKind, refusal
from s2e.words import JobSpec, to_json
from service.api import schemas
from service.api.schemas_compare import CompareReportOut, CurveName, CurvesOut
from service.lifecycle import JOB_ENDED

Shape = TypeVar("Shape", bound=schemas.Shape)
DEFAULT_URL = "http://127.0.0.1:8642"
RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0)
SILENT_S = 45.0
"""The stream sends a ping every 15 s; a connection silent for longer is dead."""


@dataclass(frozen=True)
class JobEvent:
    """One event of a job's stream."""

    id: int
    kind: str
    data: dict[str, Any]

    @property
    def is_end(self) -> bool:
        """Whether it says that the job has ended."""
        return self.kind == "job" and self.data["state"] in JOB_ENDED


class S2EClient:
    """One service. ``key`` is needed where the service has one."""

    def __init__(self, url: str = DEFAULT_URL, key: str | None = None, timeout_s: float = 30.0) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ready(self) -> bool:
        """Whether the service answers, with its database at the newest migration."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def submit(self, job: JobSpec | Mapping[str, Any], idempotency_key: str | None = None) -> schemas.JobOut:
        """Submit a job; with the key of an earlier submission of the same body, that job again."""
        body = to_json(job) if isinstance(job, JobSpec) else dict(job)
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._ask(schemas.JobOut, "POST", "/jobs", json=body, headers=headers)

    def job(self, job_id: str) -> schemas.JobOut:
        return self._ask(schemas.JobOut, "GET", f"/jobs/{job_id}")

    def jobs(self, state: str | None = None) -> Iterator[schemas.JobOut]:
        """All jobs, newest first."""
        return self._pages(schemas.Page[schemas.JobOut], "/jobs", {"state": state})

    def cancel(self, job_id: str) -> schemas.JobOut:
        return self._ask(schemas.JobOut, "POST", f"/jobs/{job_id}/cancel")

    def pause(self, job_id: str) -> schemas.JobOut:
        return self._ask(schemas.JobOut, "POST", f"/jobs/{job_id}/pause")

    def resume(self, job_id: str) -> schemas.JobOut:
        return self._ask(schemas.JobOut, "POST", f"/jobs/{job_id}/resume")

    def rounds(self, job_id: str) -> Iterator[schemas.RoundOut]:
        """All rounds of a job, in order."""
        return self._pages(schemas.Page[schemas.RoundOut], f"/jobs/{job_id}/rounds", {})

    def trials(self, job_id: str, round_: int | None = None, label: str | None = None) -> Iterator[schemas.TrialOut]:
        """Trials of a job by (round, k)."""
        return self._pages(schemas.Page[schemas.TrialOut], f"/jobs/{job_id}/trials", {"round": round_, "label": label})

    def trial(self, trial_id: str) -> schemas.TrialDetail:
        return self._ask(schemas.TrialDetail, "GET", f"/trials/{trial_id}")

    def epochs(self, trial_id: str, max_points: int = 200, attempt: int | None = None) -> schemas.EpochsOut:
        """Curves of a trial, thinned to ``max_points``."""
        params = _given({"max_points": max_points, "attempt": attempt})
        return self._ask(schemas.EpochsOut, "GET", f"/trials/{trial_id}/epochs", params=params)

    def schedule(self, job_id: str) -> schemas.ScheduleOut:
        """The recommended R(t), provisional while the job runs."""
        return self._ask(schemas.ScheduleOut, "GET", f"/jobs/{job_id}/schedule")

    def report(self, job_id: str) -> schemas.ReportOut:
        """What a search ended with. Raises NotFound until the job has completed, WrongKind for a comparison."""
        return self._report(schemas.ReportOut, job_id)

    def comparison(self, job_id: str) -> CompareReportOut:
        """What a comparison ended with. Raises NotFound until the job has completed, WrongKind for a search."""
        return self._report(CompareReportOut, job_id)

    def curves(self, job_id: str, metric: CurveName = "test_accuracy", max_points: int = 120) -> CurvesOut:
        """Mean and range over the trials of each label, epoch by epoch."""
        params = {"metric": metric, "max_points": max_points}
        return self._ask(CurvesOut, "GET", f"/jobs/{job_id}/curves", params=params)

    def _report(self, shape: type[Shape], job_id: str) -> Shape:
        try:
            return self._ask(shape, "GET", f"/jobs/{job_id}/report")
        except ValidationError as error:
            raise WrongKind(job_id, shape.model_fields["kind"].annotation) from error

    def ask(
        self,
        job_id: str,
        n_trials: int = 1,
        worker: str = "",
        lease_s: float = 600.0,
        idempotency_key: str | None = None,
    ) -> schemas.AskOut:
        """Lease trials of a job with ``trials: external``; :mod:`s2e.client.own_loop` makes a loop of it."""
        body = {"n_trials": n_trials, "worker": worker, "lease_s": lease_s}
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._ask(schemas.AskOut, "POST", f"/jobs/{job_id}/trials:ask", json=body, headers=headers)

    def report_epochs(
        self, trial_id: str, lease: str, *epochs: Mapping[str, Any], **more: Any
    ) -> schemas.ReportedTrial:
        """Report epochs of a leased trial, or with none of them prolong its lease. Raises LeaseExpired."""
        body = {"lease": lease, "epochs": [dict(epoch) for epoch in epochs], **more}
        return self._ask(schemas.ReportedTrial, "POST", f"/trials/{trial_id}/epochs", json=body)

    def report_result(self, trial_id: str, lease: str, **result: Any) -> schemas.ReportedTrial:
        """End a leased trial: ``outcome``, ``reason``, ``validation_accuracy``. Raises LeaseExpired."""
        return self._ask(schemas.ReportedTrial, "POST", f"/trials/{trial_id}/result", json={"lease": lease, **result})

    def workers(self) -> list[schemas.WorkerOut]:
        return self._ask(schemas.Items[schemas.WorkerOut], "GET", "/workers").items

    def events(self, job_id: str, last_id: int = 0) -> Iterator[JobEvent]:
        """Events behind ``last_id`` until the job's end, over lost connections; Unreachable when none comes back."""
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

    def wait(self, job_id: str) -> schemas.JobOut:
        """The job once it has ended."""
        for _ in self.events(job_id):
            pass
        return self.job(job_id)

    def _stream(self, job_id: str, last_id: int) -> Iterator[JobEvent]:
        """One connection's events."""
        headers = {"Last-Event-ID": str(last_id)} if last_id else {}
        path, timeout = f"/api/v1/jobs/{job_id}/events", httpx.Timeout(10.0, read=SILENT_S)
        try:
            with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
                if response.status_code >= 400:
                    response.read()
                    raise refusal(response)
                yield from _parse_events(response.iter_lines())
        except httpx.TransportError as error:
            raise Unreachable(self.url, error) from error

    def _pages(self, page: type[schemas.Page[Shape]], path: str, params: Mapping[str, Any]) -> Iterator[Shape]:
        cursor: str | None = None
        while True:
            found = self._ask(page, "GET", path, params=_given({**params, "limit": 200, "cursor": cursor}))
            yield from found.items
            if (cursor := found.next_cursor) is None:
                return

    def _ask(self, shape: type[Shape], method: str, path: str, **more: Any) -> Shape:
        try:
            response = self._http.request(method, "/api/v1" + path, **more)
        except httpx.TransportError as error:
            raise Unreachable(self.url, error) from error
        if not response.is_success:
            raise refusal(response)
        return shape.model_validate_json(response.content)


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
