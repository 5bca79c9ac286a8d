"""Keys and their scopes, owners and quotas, who did what, and requests that ask for too much."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from s2e.client import S2EClient
from s2e.client.errors import Forbidden, OverQuota, TooMany, Unauthorized
from s2e.words.people import ADMIN, READ, SCOPES, SUBMIT, WORKER
from service.api.limits import Buckets
from service.api.operations import PREFIX, operations
from service.api.scopes import NOBODY, scope_of, undeclared
from service.cli.main import main
from service.settings import Settings
from service.store import keys, queries
from service.store.changes import utc_now
from service.store.engine import Database
from service.store.models import KeyRow

BOSS = "bootstrap-key-of-the-settings"
SMALL = {"train": {"n_epochs": 3}, "search": {"n_rounds": 1, "n_trials": 2}}


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, settings_in: Callable[..., Settings], start_server: Callable[..., Any]
) -> Iterator[Any]:
    settings = settings_in(tmp_path_factory.mktemp("people")).model_copy(
        update={"api_key": SecretStr(BOSS), "owner_jobs": 4, "key_rate_per_s": 2_000.0, "receive_s": 0.6}
    )
    with start_server(settings) as service:
        yield service


@pytest.fixture(scope="module")
def stored(place: Any) -> Database:
    database: Database = place.app.state.database
    return database


@pytest.fixture(scope="module")
def boss(place: Any) -> Iterator[S2EClient]:
    with S2EClient(place.url, BOSS) as client:
        yield client


def client_of(place: Any, boss: S2EClient, owner: str, *scopes: str) -> S2EClient:
    return S2EClient(place.url, boss.create_key("test", owner, scopes).secret, patience_s=0.0)


def asked(place: Any, secret: str | None, verb: str, path: str, body: Any = None) -> httpx.Response:
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
    answer: httpx.Response = place.http.request(verb, place.url + path, headers=headers, json=body)
    return answer


def test_every_operation_asks_for_the_scope_that_it_declares(place: Any, boss: S2EClient, assert_problem: Any) -> None:
    """Without a key 401, with a key that lacks the scope 403, with one that has it an answer of the operation's own."""
    routes = operations()
    assert len(routes) > 30
    assert not undeclared(routes)
    secrets = {scope: boss.create_key("each", "ada", (scope,)).secret for scope in SCOPES}
    job = boss.submit(SMALL).id
    boss.cancel(job)
    bodies = {
        "create_key": {"name": "n", "owner": "o"},
        "create_webhook": {"url": "http://127.0.0.1:1/"},
        "change_job": {"priority": 1},
    }
    for route in routes:
        declared = scope_of(route.endpoint)
        ids = defaultdict(lambda: "none", job_id=job, key_id="0")
        path = PREFIX + route.path.format_map(ids)
        verb = next(iter(route.methods))
        body = bodies.get(route.operation_id or "", {}) if verb in ("POST", "PATCH") else None
        if declared == NOBODY:
            assert route.operation_id == "open_session"
            continue
        assert_problem(asked(place, None, verb, path, body), 401, "unauthorized")
        for scope, secret in secrets.items():
            if route.operation_id == "follow_job" or (verb == "DELETE" and scope == ADMIN):
                continue
            answer = asked(place, secret, verb, path, body)
            allowed = scope in (declared, ADMIN) or declared == READ
            if allowed and answer.status_code == 403:  # the job is another's
                assert scope != ADMIN
                assert "admin's" in answer.json()["detail"]
            elif allowed:
                assert answer.status_code < 500, (route.path, scope, answer.text)
                assert answer.status_code != 401
            else:
                assert_problem(answer, 403, "forbidden")
    assert {scope_of(route.endpoint) for route in routes} == {*SCOPES, NOBODY}


def test_the_document_says_which_scope(place: Any) -> None:
    paths = httpx.get(f"{place.url}/openapi.json").json()["paths"]
    assert paths["/api/v1/jobs"]["post"]["security"] == [{}, {"key": [SUBMIT]}, {"session": [SUBMIT]}]
    assert paths["/api/v1/jobs/{job_id}/trials:ask"]["post"]["security"][1] == {"key": [WORKER]}
    assert paths["/api/v1/session"]["post"]["security"] == []


def test_a_key_is_shown_once_and_stored_as_a_digest(place: Any, boss: S2EClient, stored: Database) -> None:
    made = boss.create_key("laptop", "ada", (SUBMIT,), days=2)
    assert made.secret.startswith(f"s2e_{made.id}_")
    with stored.read() as session:
        row = session.get_one(KeyRow, made.id)
        assert row.digest == keys.digest_of(made.secret)
        everything = str([list(row) for row in session.execute(text("SELECT * FROM api_keys"))])
    assert made.secret not in everything
    listed = {key.id: key for key in boss.all_keys()}
    assert not hasattr(listed[made.id], "secret")
    assert (listed[made.id].owner, listed[made.id].created_by, listed[made.id].state) == ("ada", "admin", "valid")
    with S2EClient(place.url, made.secret) as ada:
        me = ada.me()
        assert (me.owner, me.key_id, me.scopes) == ("ada", made.id, (READ, SUBMIT))


def test_an_expired_and_a_revoked_key_open_nothing(place: Any, boss: S2EClient, stored: Database) -> None:
    for end in ("expired", "revoked"):
        made = boss.create_key(end, "ada", (READ,), days=1)
        with stored.write() as session:
            row = session.get_one(KeyRow, made.id)
            row.expires_at = utc_now() if end == "expired" else row.expires_at
        if end == "revoked":
            assert boss.revoke_key(made.id).state == "revoked"
        with S2EClient(place.url, made.secret) as client, pytest.raises(Unauthorized):
            client.me()
        assert {key.id: key.state for key in boss.all_keys()}[made.id] == end


def test_wrong_keys_are_refused_with_the_field(place: Any, assert_problem: Any) -> None:
    for body, field in (
        ({"name": "n", "owner": "o", "scopes": ["root"]}, "scopes"),
        ({"name": "n", "owner": "o", "scopes": []}, "scopes"),
        ({"name": " ", "owner": "o"}, "name"),
        ({"name": "n", "owner": "o", "days": 0}, "days"),
    ):
        problem = assert_problem(asked(place, BOSS, "POST", "/api/v1/keys", body), 422, "invalid_spec")
        assert problem["errors"][0]["field"] == field


def test_a_browser_session_is_of_its_key_and_ends_with_it(place: Any, boss: S2EClient) -> None:
    made = boss.create_key("browser", "ada", (SUBMIT,))
    with httpx.Client(base_url=place.url + "/api/v1") as browser:
        assert browser.post("/session", json={"key": made.secret}).status_code == 204
        assert browser.get("/me").json()["owner"] == "ada"
        token = browser.cookies["s2e_session"]
        forged = token.replace(made.id, boss.create_key("other", "bob", (ADMIN,)).id)
        assert httpx.get(place.url + "/api/v1/me", cookies={"s2e_session": forged}).status_code == 401
        boss.revoke_key(made.id)
        place.app.state.callers._by_id.clear()  # which it would do by itself in two seconds
        assert browser.get("/me").status_code == 401


def test_jobs_have_owners_who_alone_change_them(place: Any, boss: S2EClient) -> None:
    ada, bob = client_of(place, boss, "ada2", SUBMIT), client_of(place, boss, "bob2", SUBMIT, WORKER)
    job = ada.submit({**SMALL, "trials": "external"}, idempotency_key="same")
    assert (job.owner, bob.job(job.id).owner) == ("ada2", "ada2")  # everybody may look
    for change in (bob.cancel, bob.pause, bob.delete, bob.ask):
        with pytest.raises(Forbidden, match="ada2's"):
            change(job.id)
    assert bob.submit({**SMALL, "trials": "external"}, idempotency_key="same").id != job.id
    assert ada.cancel(job.id).state == "cancelled"
    ada.delete(job.id)
    acts = [(entry.owner, entry.action) for entry in boss.audit(target=job.id)]
    assert acts == [("ada2", "delete_job"), ("ada2", "cancel_job"), ("ada2", "create_job")]
    assert all(entry.request_id for entry in boss.audit(owner="ada2"))
    ada.close()
    bob.close()


def test_an_owner_has_so_many_open_jobs_and_no_more(place: Any, boss: S2EClient, stored: Database) -> None:
    with client_of(place, boss, "eve", SUBMIT) as eve:
        jobs = [eve.submit(SMALL).id for _ in range(4)]
        with pytest.raises(OverQuota, match="eve has 4 jobs"):
            eve.submit(SMALL)
        assert eve.me().jobs_open == 4
        eve.cancel(jobs[0])
        eve.submit(SMALL)
    with stored.read() as session:
        assert sum(job.owner == "eve" for job in queries.jobs(session, 200, None, None)) == 5


def test_a_key_revoked_in_the_middle_of_a_stream_ends_it(place: Any, boss: S2EClient) -> None:
    made = boss.create_key("stream", "ada", (READ,))
    job = boss.submit(SMALL).id
    ended = threading.Event()

    def follow() -> None:
        with httpx.stream(
            "GET", f"{place.url}/api/v1/jobs/{job}/events", headers={"Authorization": f"Bearer {made.secret}"}
        ) as answer:
            for _ in answer.iter_bytes():
                pass
        ended.set()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    while not place.app.state.metrics.streams.collect()[0].samples[0].value:
        assert thread.is_alive()
        time.sleep(0.02)
    boss.revoke_key(made.id)
    assert ended.wait(10)
    boss.cancel(job)


def test_the_keys_have_commands(place: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--url", place.url, "--key", BOSS])
        assert ended.value.code in (0, None)
        return capsys.readouterr().out.strip()

    made = json.loads(run("keys", "create", "nightly", "--owner", "team", "--scope", "worker", "--days", "3", "--json"))
    assert made["scopes"] == ["worker"]
    assert "nightly" in run("keys", "list")
    assert run("keys", "revoke", made["id"]) == "revoked"
    assert "revoke_key" in run("keys", "audit", "--target", made["id"])
    assert run("keys", "whoami").startswith("admin: read, submit, worker, admin")


def test_wrong_keys_slow_their_address_down_and_no_other(
    settings: Settings, start_server: Callable[..., Any], assert_problem: Any
) -> None:
    with start_server(settings.model_copy(update={"api_key": SecretStr(BOSS), "key_rate_per_s": 0.5})) as service:
        right = {"Authorization": f"Bearer {BOSS}"}
        assert service.http.get("/me", headers=right).status_code == 200
        for _ in range(10):
            assert service.http.get("/me", headers={"Authorization": "Bearer wrong"}).status_code == 401
        refused = service.http.post("/session", json={"key": "wrong"})
        assert_problem(refused, 429, "too_many_requests")
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        # five at once, one in two seconds; whose key was good before is not slowed down by the guesses
        answers = [service.http.get("/me", headers=right) for _ in range(12)]
        assert {answer.status_code for answer in answers} == {200, 429}
        with S2EClient(service.url, BOSS, patience_s=0.0) as client, pytest.raises(TooMany):
            client.me()


def test_where_no_key_is_needed_only_a_key_of_ours_is_judged(http: httpx.Client, assert_problem: Any) -> None:
    for _ in range(15):  # of a client whose environment has the key of another service
        assert http.get("/me", headers={"Authorization": "Bearer another"}).json()["owner"] == ""
        assert http.post("/session", json={"key": "another"}).status_code == 204
    made = http.post("/keys", json={"name": "n", "owner": "ada"}).json()
    shown = {"Authorization": f"Bearer {made['secret']}"}
    assert http.get("/me", headers=shown).json()["owner"] == "ada"
    assert_problem(http.get("/keys", headers=shown), 403, "forbidden")
    assert_problem(http.get("/me", headers={"Authorization": "Bearer s2e_0_no"}), 401, "unauthorized")


def test_a_bucket_fills_again() -> None:
    now_s = 0.0
    buckets = Buckets(2.0, 3, lambda: now_s)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now_s = 0.5
    assert buckets.wait_s("a") == 0
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]


def sent(place: Any, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """The service's answer to raw bytes, until it closes the connection."""
    address = httpx.URL(place.url)
    with socket.create_connection((address.host, address.port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause_s)
        answer = b""
        while more := connection.recv(65_536):
            answer += more
        return answer


HEAD = b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + BOSS.encode() + b"\r\n"


@pytest.mark.parametrize(
    ("pieces", "status", "code"),
    [
        ((HEAD + b"X-Large: " + b"x" * 200_000 + b"\r\nConnection: close\r\n\r\n",), 431, "headers_too_large"),
        ((HEAD + b"X-Endless: " + b"x" * 70_000,), 431, "headers_too_large"),
        ((HEAD + b"Authorization: Bearer other\r\nConnection: close\r\n\r\n",), 400, "invalid_request"),
        ((HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",), 400, "invalid_request"),
        ((b"nonsense\r\n\r\n",), 400, "invalid_request"),
        ((HEAD,), 408, "slow"),
        ((HEAD.replace(b"GET /api/v1/me", b"POST /api/v1/keys") + b"Content-Type: application/json\r\n"
          b"Content-Length: 9\r\n\r\n{",), 408, "slow"),
        ((), 0, ""),
    ],
    ids=["large", "endless", "doubled", "two lengths", "nonsense", "slow head", "slow body", "silent"],
)  # fmt: skip
def test_a_request_that_asks_for_too_much_patience_is_answered_and_cut(
    place: Any, pieces: tuple[bytes, ...], status: int, code: str
) -> None:
    answer = sent(place, *pieces)
    if not status:
        assert answer == b""
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in head.lower()
    assert json.loads(body)["code"] == code


def test_prometheus_is_told_what_is_served_and_what_is_done(
    place: Any, boss: S2EClient, stored: Database, assert_problem: Any
) -> None:
    address = f"{place.url}/metrics"
    assert_problem(httpx.get(address), 401, "unauthorized")
    key = boss.create_key("scraper", "ops", (READ,)).secret
    job = boss.submit(SMALL).id
    answer = httpx.get(address, headers={"Authorization": f"Bearer {key}", "X-Request-Id": "from-a-proxy.1"})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["x-request-id"] == "from-a-proxy.1"
    lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert float(lines['s2e_requests_total{method="POST",operation="create_job",status="201"}']) >= 1
    assert float(lines['s2e_request_seconds_count{operation="create_key"}']) >= 1
    assert float(lines['s2e_jobs{state="queued"}']) >= 1
    assert {f's2e_trials{{state="{state}"}}' for state in ("pending", "running")} <= set(lines)
    assert float(lines["s2e_events_total"]) > 0
    assert [lines[name] for name in ("s2e_database_up", "s2e_dispatchers", "s2e_job_leases")] == ["1.0", "0.0", "0.0"]
    boss.cancel(job)
