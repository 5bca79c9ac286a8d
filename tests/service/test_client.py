"""The client against the real server."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from s2e.client import errors as client_errors
from s2e.client import http as module
from s2e.client.errors import (
    ApiError,
    ClientError,
    Conflict,
    IllegalTransition,
    InvalidParameter,
    InvalidSpec,
    NotFound,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from s2e.client.http import JobEvent, S2EClient
from s2e.door import parse_job
from s2e.words import Problem, to_json

SMALL = {
    "train": {"n_epochs": 6},
    "search": {"n_rounds": 2, "n_trials": 3},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.2]},
}
N_TRIALS = 2 * 3 + 2 + 4 * 2


@pytest.fixture
def client(service: Any) -> Iterator[S2EClient]:
    with S2EClient(service.url) as connected:
        yield connected


def test_a_job_from_submission_to_report(client: S2EClient, dispatching: None) -> None:
    job = client.submit(SMALL)
    events = list(client.events(job.id))
    assert [e.data["state"] for e in events if e.kind == "job"] == [
        "queued", "checking", "running", "completed",
    ]  # fmt: skip
    assert [e.data["round"] for e in events if e.kind == "round"] == [0, 1, 2, 3]
    assert events[-1].is_end
    assert [e.id for e in events] == sorted({e.id for e in events})

    done = client.wait(job.id)
    assert done.state == "completed"
    assert done.progress.trials_done == done.progress.trials_total == N_TRIALS
    assert done.progress.epochs_done == done.progress.epochs_total
    assert done.progress.rounds_done == 4

    assert [r.kind for r in client.rounds(job.id)] == ["search", "search", "tune", "retrain"]
    trials = list(client.trials(job.id))
    assert len(trials) == N_TRIALS
    assert [t.reason for t in trials if t.state == "failed"] == ["loss became NaN at epoch 2"]
    assert [t.k for t in client.trials(job.id, round_=2)] == [0, 1]
    assert len(list(client.trials(job.id, label="tuned"))) == 2

    report = client.report(job.id)
    assert report.recommended is not None
    schedule = client.schedule(job.id)
    assert not schedule.provisional
    assert schedule.keep_rate == report.keep_rate
    assert schedule.recommended is not None
    [recommended] = [t for t in trials if (t.round, t.k) == report.recommended]
    assert client.trial(recommended.id).keep_rate == report.keep_rate
    curves = client.epochs(recommended.id, max_points=3)
    assert (curves.total, curves.epochs) == (6, (0, 2, 5))


def test_who_opens_a_job_hears_only_what_is_news(client: S2EClient, dispatching: None) -> None:
    job_id = client.wait(client.submit(SMALL).id).id
    told = list(client.events(job_id))
    for seen in (told[0], told[len(told) // 2]):
        assert [event.id for event in client.events(job_id, seen.id)] == [e.id for e in told if e.id > seen.id]
    opened = client.job(job_id)
    assert opened.last_event_id == told[-1].id
    assert list(client.events(job_id, opened.last_event_id)) == []
    [listed] = client.jobs()
    assert listed == opened


def test_a_spec_object_and_its_json_are_the_same_request(client: S2EClient) -> None:
    first = client.submit(parse_job(SMALL), idempotency_key="k")
    assert client.submit(to_json(parse_job(SMALL)), idempotency_key="k").id == first.id
    with pytest.raises(Conflict):
        client.submit({}, idempotency_key="k")


def test_jobs_are_listed_over_all_pages(client: S2EClient, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [client.submit(SMALL).id for _ in range(3)]
    asked = module._given
    monkeypatch.setattr(module, "_given", lambda params: {**asked(params), "limit": 2})
    assert [job.id for job in client.jobs()] == made[::-1]
    assert list(client.jobs(state="failed")) == []


def test_a_job_changes_its_state(client: S2EClient) -> None:
    job = client.submit(SMALL).id
    assert [call(job).state for call in (client.pause, client.resume, client.cancel)] == [
        "paused",
        "queued",
        "cancelled",
    ]
    with pytest.raises(IllegalTransition):
        client.cancel(job)
    assert [event.data["state"] for event in client.events(job)] == ["queued", "paused", "queued", "cancelled"]


def test_refusals_are_classes_with_their_problems(client: S2EClient) -> None:
    with pytest.raises(InvalidSpec) as refused:
        client.submit({"train": {"n_epochs": 0}})
    assert (refused.value.status, refused.value.code) == (422, "invalid_spec")
    assert refused.value.problems == (Problem("train.n_epochs", 0, "a whole number, >= 1 and <= 10000"),)
    assert "train.n_epochs = 0" in str(refused.value)
    with pytest.raises(NotFound, match="nosuch"):
        client.job("nosuch")
    with pytest.raises(NotFound):
        next(client.events("nosuch"))
    with pytest.raises(TooLarge):
        client.submit({"name": "x" * 300_000})
    with pytest.raises(InvalidParameter):
        list(client.jobs(state="asleep"))


def test_the_docstring_draws_the_tree_of_exceptions() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", client_errors.__doc__ or ""))
    assert drawn == {c.__name__ for c in (*ClientError.__subclasses__(), *ApiError.__subclasses__())}
    assert set(client_errors._BY_CODE.values()) == set(ApiError.__subclasses__())


def answering(handler: Callable[[httpx.Request], httpx.Response], key: str | None = None) -> S2EClient:
    """A client whose requests go to ``handler``."""
    client = S2EClient("http://service", key)
    client._http = httpx.Client(
        base_url="http://service", transport=httpx.MockTransport(handler), headers=client._http.headers
    )
    return client


def test_the_key_is_sent() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer secret"
        return httpx.Response(200, json={"items": []})

    assert answering(handler, "secret").workers() == ()


def test_an_answer_that_is_no_problem_document() -> None:
    with pytest.raises(ApiError, match="status 502: bad gateway"):
        answering(lambda _: httpx.Response(502, text="bad gateway")).workers()
    problem = {"code": "unauthorized", "detail": "a key is needed"}
    with pytest.raises(Unauthorized):
        answering(lambda _: httpx.Response(401, json=problem)).workers()


def test_nobody_answers() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with S2EClient(url) as client:
        assert not client.ready()
        with pytest.raises(Unreachable, match="s2e serve"):
            client.job("x")


def event_text(i: int, kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\nid: {i}\n\n"


def test_a_lost_connection_is_taken_up_behind_the_last_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream breaks in the middle of event 2, then the service is away once, then it goes on."""
    monkeypatch.setattr(module, "RECONNECT_S", (0.0, 0.0, 0.0))
    asked: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("last-event-id"))
        if len(asked) == 1:
            return httpx.Response(200, content=broken(event_text(1, "round", '{"round": 0}') + "event: round\nda"))
        if len(asked) == 2:
            raise httpx.ConnectError("away")
        rest = ": ping\n\n" + event_text(2, "round", '{"round": 1}') + event_text(3, "job", '{"state": "completed"}')
        return httpx.Response(200, text=rest)

    events = list(answering(handler).events("j"))
    assert asked == [None, "1", "1"]
    assert events == [
        JobEvent(1, "round", {"round": 0}),
        JobEvent(2, "round", {"round": 1}),
        JobEvent(3, "job", {"state": "completed"}),
    ]


def broken(text: str) -> Iterator[bytes]:
    yield text.encode()
    raise httpx.ReadError("reset")


def test_a_service_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECONNECT_S", (0.0, 0.0))
    n_asked = 0

    def handler(_: httpx.Request) -> httpx.Response:
        nonlocal n_asked
        n_asked += 1
        raise httpx.ConnectError("away")

    with pytest.raises(Unreachable):
        list(answering(handler).events("j"))
    assert n_asked == 3


# --- patience ---------------------------------------------------------------------------------------------------------

UNAVAILABLE = {"code": "unavailable", "detail": "the database is locked"}


def script(*answers: Any) -> tuple[S2EClient, list[str]]:
    """A client whose service gives these answers, one after the other: exceptions, or (status, body, headers)."""
    left, asked = list(answers), []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body, *headers = answer
        return httpx.Response(status, json=body, headers=headers[0] if headers else {})

    return answering(handler), asked


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    return pauses


def test_a_service_that_cannot_serve_is_asked_again_when_it_says(slept: list[float]) -> None:
    client, asked = script((503, UNAVAILABLE, {"Retry-After": "3"}), (503, UNAVAILABLE), (200, {"items": []}))
    assert client.workers() == ()
    assert len(asked) == 3
    assert slept[0] == 3
    assert slept[1] <= 0.2


def test_a_service_that_was_there_is_waited_for_and_one_that_never_was_is_not(slept: list[float]) -> None:
    client, asked = script(httpx.ConnectError("refused"))
    with pytest.raises(Unreachable):
        client.workers()
    assert (len(asked), slept) == (1, [])
    away = [httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.ReadTimeout("slow")]
    client, asked = script((200, {"items": []}), *away, (200, {"items": []}))
    client.workers()
    assert client.workers() == ()
    assert len(slept) == 3


def test_what_may_have_been_done_already_is_not_sent_again(slept: list[float]) -> None:
    client, asked = script((200, {"items": []}), httpx.ReadError("reset"))
    client.workers()
    with pytest.raises(Unreachable):
        client.cancel("j")
    assert (asked, slept) == (["GET", "POST"], [])


def test_patience_ends(slept: list[float]) -> None:
    client, asked = script((503, UNAVAILABLE, {"Retry-After": "100"}))
    with pytest.raises(Unavailable):
        client.workers()
    assert len(asked) == 1
