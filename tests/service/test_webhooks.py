"""Other programs that are told of jobs: where messages may go, that they are signed, and tried until they are taken."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import select, update

from s2e.client import S2EClient
from s2e.client.errors import Forbidden, InvalidSpec, NotFound
from s2e.words.hooks import WebhookIn
from service import webhooks
from service.dispatch.courier import Courier
from service.settings import Settings
from service.store import repository
from service.store import webhooks as stored
from service.store.changes import utc_now
from service.store.engine import Database
from service.store.models import DeliveryRow
from service.store.webhooks import BACK_OFF_S

SMALL = {"train": {"n_epochs": 3}, "search": {"n_rounds": 1, "n_trials": 2}}
HERE = webhooks.networks("127.0.0.0/8")


class Listener:
    """A program that takes messages, or refuses them with ``status``."""

    def __init__(self) -> None:
        self.status, self.heard = 204, list[tuple[dict[str, str], str]]()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                listener.heard.append((dict(self.headers), body))
                self.send_response(listener.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=1"


@pytest.fixture
def listener() -> Iterator[Listener]:
    started = Listener()
    thread = threading.Thread(target=started.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield started
    started.server.shutdown()
    thread.join()
    started.server.server_close()


@pytest.fixture
def client(settings: Settings, start_server: Callable[[Settings], Any]) -> Iterator[S2EClient]:
    settings.webhook_networks = "127.0.0.0/8"
    with start_server(settings) as service, S2EClient(service.url) as connected:
        yield connected


INSIDE = [("http://127.0.0.1/x", "127.0.0.1 is not one"), ("http://[::1]:8642/", "::1 is not one"),
    ("https://169.254.169.254/latest/meta-data", "169.254.169.254"), ("http://10.1.2.3/", "10.1.2.3"),
    ("http://192.168.0.9/", "192.168.0.9"), ("http://[::ffff:127.0.0.1]/", "127.0.0.1"),
    ("http://0.0.0.0/", "0.0.0.0"),
    ("http://[64:ff9b::7f00:1]/", "127.0.0.1"), ("http://[64:ff9b::a9fe:a9fe]/", "169.254.169.254"),
    ("http://[64:ff9b:1::10.0.0.7]/", "10.0.0.7"), ("http://[64:ff9b:1:c0a8:1:200::]/", "192.168.1.2"),
    ("http://[2002:0a01:0203::1]/", "10.1.2.3"), ("http://[2001:0:808:808::3f57:fefd]/", "192.168.1.2"),
    ("http://[2001:0:a00:1::f7f7:f7f7]/", "10.0.0.1"), ("http://[::a00:1]/", "10.0.0.1"), ("http://[::5]/", "0.0.0.5"),
    ("http://[fe80::1]/", "fe80::1"), ("http://2130706433/", "127.0.0.1"), ("ftp://example.org/", "http or https"),
    ("http://user:secret@8.8.8.8/", "without a password"), ("http:///x", "with a host"),
    ("nonsense", "http or https")]  # fmt: skip


@pytest.mark.parametrize(("url", "said"), INSIDE)
def test_no_message_goes_to_an_address_of_the_inside(url: str, said: str) -> None:
    answer = webhooks.send(url, "secret", "id", "{}", ())
    assert not answer.taken
    assert answer.words.startswith("not sent: ")
    assert said in answer.words


def test_a_webhook_to_the_inside_is_not_kept(client: S2EClient) -> None:
    for url in (url for url, said in INSIDE if "127.0.0.1" not in said):  # which this service's settings allow
        with pytest.raises(InvalidSpec) as refused:
            client.create_webhook(url)
        assert refused.value.problems[0].field == "url", url
    assert client.webhooks() == ()


@pytest.mark.parametrize(
    "host", ["[64:ff9b::808:808]", "[2002:808:808::1]", "[::ffff:8.8.8.8]", "[64:ff9b:1:808:8:800:808:808]"]
)
def test_a_public_address_may_come_by_way_of_a_translator(host: str) -> None:
    webhooks.check_url(f"https://{host}/hook", ())


def test_a_receiver_that_is_slow_holds_up_no_other(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, urls = threading.Event(), list[str]()

    def send(url: str, *_: Any) -> webhooks.Answer:
        urls.append(url)
        assert url != "http://slow/" or answers.wait(20)
        return webhooks.Answer(True, "answered 204")

    monkeypatch.setattr(webhooks, "send", send)
    with database.write() as session:
        for url, n in (("http://slow/", 3), ("http://quick/", 2)):
            hook = stored.create(session, WebhookIn(url=url), "ada")
            for _ in range(n):
                stored.write_test(session, hook.id)
        session.execute(update(DeliveryRow).values(due_at=utc_now()))
    courier = Courier(database, ())
    waiting = threading.Thread(target=courier.round)
    waiting.start()
    while courier._busy != {hook_of(database, "http://slow/")}:
        time.sleep(0.01)
    assert courier.round() == 1  # the second one of the quick receiver; of the slow one nothing
    assert urls.count("http://quick/") == 2
    assert urls.count("http://slow/") == 1
    answers.set()
    waiting.join()
    assert (courier.round(), courier.round(), courier.round()) == (1, 1, 0)


def hook_of(database: Database, url: str) -> str:
    with database.read() as session:
        return next(row.id for row in stored.of_owner(session, None) if row.url == url)


def test_the_connection_goes_to_the_address_that_was_judged(
    monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    """A name that resolves to a public address for the check and to this machine a moment later reaches nothing."""
    port = listener.server.server_port
    places = [["127.0.0.1"], ["192.0.0.9", "127.0.0.1"]]
    asked: list[Any] = []

    def resolve(host: str, *more: Any, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places[min(len(asked), 2) - 1]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = f"http://hooks.example:{port}/hook"
    assert webhooks.send(url, "s", "id", "{}", HERE).taken
    assert asked == ["hooks.example", "127.0.0.1"]  # once by name; the connection has the address
    assert listener.heard[0][0]["Host"] == f"hooks.example:{port}"
    asked.clear()
    places[0] = places[1]
    assert "127.0.0.1 is not one" in webhooks.send(url, "s", "id", "{}", ()).words
    assert len(listener.heard) == 1


def test_a_test_call_is_signed_and_says_what_came_of_it(client: S2EClient, listener: Listener) -> None:
    hook = client.create_webhook(listener.url)
    delivery = client.test_webhook(hook.id)
    assert (delivery.outcome, delivery.answer, delivery.job_id) == ("taken", "answered 204", None)
    headers, body = listener.heard[0]
    assert json.loads(body)["kind"] == "test"
    at, signed = (part.partition("=")[2] for part in headers["X-S2E-Signature"].split(","))
    assert signed == hmac.new(hook.secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    assert headers["X-S2E-Delivery"] == delivery.id == json.loads(body)["id"]
    listener.status = 302  # a redirect is not followed
    assert client.test_webhook(hook.id).answer == "answered 302"
    assert [one.outcome for one in client.deliveries(hook.id)] == ["given up", "taken"]
    assert not hasattr(client.webhooks()[0], "secret")
    client.delete_webhook(hook.id)
    with pytest.raises(NotFound):
        client.test_webhook(hook.id)


def test_a_message_is_tried_until_it_is_taken(client: S2EClient, listener: Listener, database: Database) -> None:
    hook = client.create_webhook(listener.url, ("cancelled", "paused"))
    job = client.submit({**SMALL, "name": "told"}).id
    client.cancel(job)
    courier = Courier(database, HERE)
    listener.status = 500
    assert (courier.round(), courier.round()) == (1, 0)  # not due again at once
    (waiting,) = client.deliveries(hook.id)
    assert (waiting.outcome, waiting.n_tries, waiting.answer, waiting.job_id) == ("waiting", 1, "answered 500", job)
    assert 0 < (waiting.due_at - utc_now()).total_seconds() <= BACK_OFF_S[0]
    listener.status = 200
    make_due(database)
    assert courier.round() == 1
    assert client.deliveries(hook.id)[0].outcome == "taken"
    first, second = (json.loads(body) for _, body in listener.heard)
    assert first == second
    assert second["job"] == {
        "id": job,
        "name": "told",
        "owner": "",
        "state": "cancelled",
        "reason": second["job"]["reason"],
    }


def test_a_message_nobody_takes_is_given_up(client: S2EClient, listener: Listener, database: Database) -> None:
    hook, courier = client.create_webhook(listener.url), Courier(database, ())  # the settings have changed since
    client.cancel(client.submit(SMALL).id)
    for _ in range(len(BACK_OFF_S) + 1):
        make_due(database)
        assert courier.round() == 1
    make_due(database)
    assert courier.round() == 0
    (given_up,) = client.deliveries(hook.id)
    assert given_up.outcome == "given up"
    assert "not sent" in given_up.answer
    assert listener.heard == []


def make_due(database: Database) -> None:
    with database.write() as session:
        session.execute(update(DeliveryRow).values(due_at=utc_now() - timedelta(seconds=1)))


def test_a_message_is_written_with_the_change_or_not_at_all(client: S2EClient, database: Database) -> None:
    client.create_webhook("http://127.0.0.1:1/")
    job = client.submit(SMALL).id
    with pytest.raises(RuntimeError):
        cancel_and_fail(database, job)
    with database.read() as session:
        assert session.scalars(select(DeliveryRow)).all() == []


def cancel_and_fail(database: Database, job: str) -> None:
    with database.write() as session:
        repository.cancel_job(session, job)
        raise RuntimeError


def test_webhooks_belong_to_their_owner(
    settings: Settings, start_server: Callable[[Settings], Any], database: Database
) -> None:
    settings.webhook_networks = "127.0.0.1"
    with start_server(settings) as service, S2EClient(service.url) as boss:
        ada, bob = (S2EClient(service.url, boss.create_key("k", name, ("submit",)).secret) for name in ("ada", "bob"))
        with ada, bob:
            hook = ada.create_webhook("http://127.0.0.1:1/")
            assert [one.id for one in boss.webhooks()] == [hook.id]
            assert bob.webhooks() == ()
            with pytest.raises(NotFound):
                bob.delete_webhook(hook.id)
            with pytest.raises(Forbidden):
                bob.create_webhook("http://127.0.0.1:1/", everybody=True)
            bob.cancel(bob.submit(SMALL).id)
            assert ada.deliveries(hook.id) == ()
            ada.cancel(ada.submit(SMALL).id)
            assert [one.outcome for one in ada.deliveries(hook.id)] == ["waiting"]


def test_the_setting_is_of_networks() -> None:
    with pytest.raises(ValidationError, match="webhook_networks"):
        Settings(webhook_networks="10.0.0.0/8, nonsense")


def test_a_receiver_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends headers without end, each in time; the connection ends, and with it this test."""
    monkeypatch.setattr(webhooks, "TOTAL_S", 0.3)
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                try:
                    while True:
                        connection.sendall(b"X-More: 1\r\n")
                        time.sleep(0.02)
                except OSError:
                    gone.set()

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert webhooks.send(url, "secret", "1", "{}", HERE) == webhooks.Answer(False, "no answer within 0.3 s")
        assert gone.wait(30)
        thread.join()
