"""Access: key, session cookie, host names, pages of other origins; and what a browser is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from service.api.app import create_app
from service.api.auth import SESSION_S, ExposedWithoutKeyError, KeyRing, check_exposure, is_loopback
from service.settings import Settings

KEY = "correct horse"


@pytest.fixture
def guarded(settings: Settings, start_server: Callable[[Settings], Any]) -> Iterator[httpx.Client]:
    with start_server(settings.model_copy(update={"api_key": SecretStr(KEY)})) as service:
        yield service.http


def test_a_key_is_needed(guarded: httpx.Client, assert_problem: Any) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}, {"Authorization": KEY}):
        response = guarded.get("/jobs", headers=headers)
        assert_problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"
    assert guarded.get("/jobs", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


@pytest.mark.parametrize("path", ["/jobs/x/events", "/methods", "/nosuch", "/trials/x"])
def test_every_address_of_the_api_needs_it(guarded: httpx.Client, assert_problem: Any, path: str) -> None:
    assert_problem(guarded.get(path), 401, "unauthorized")


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json"])
def test_health_and_documentation_need_none(guarded: httpx.Client, path: str) -> None:
    assert httpx.get(str(guarded.base_url).removesuffix("/api/v1/") + path).status_code == 200


def test_a_browser_trades_the_key_for_a_cookie(guarded: httpx.Client, assert_problem: Any) -> None:
    assert_problem(guarded.post("/session", json={"key": "wrong"}), 401, "unauthorized")
    assert_problem(guarded.post("/session", json={}), 422, "invalid_spec")
    response = guarded.post("/session", json={"key": KEY})
    assert response.status_code == 204
    cookie = response.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert KEY not in cookie
    assert guarded.get("/jobs").status_code == 200  # the client keeps the cookie
    guarded.cookies.set("s2e_session", "9999999999.0000", domain="127.0.0.1")
    guarded.cookies.clear()
    assert_problem(guarded.get("/jobs", headers={"Cookie": "s2e_session=9999999999.00"}), 401, "unauthorized")


def test_a_session_ends_with_time_and_with_the_key() -> None:
    token = KeyRing(KEY).open_session(now_s=1000.0)
    assert KeyRing(KEY).accepts_session(token, now_s=1000.0 + SESSION_S - 1)
    assert not KeyRing(KEY).accepts_session(token, now_s=1000.0 + SESSION_S + 1)
    assert not KeyRing("another").accepts_session(token, now_s=1000.0)
    expires, _, signature = token.partition(".")
    assert not KeyRing(KEY).accepts_session(f"{int(expires) + 1}.{signature}", now_s=1000.0)
    for forged in ("", ".", "x", f".{signature}", f"{expires}.", "é.é"):
        assert not KeyRing(KEY).accepts_session(forged, now_s=1000.0)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1"])
def test_without_a_key_only_this_machine_is_a_host(http: httpx.Client, assert_problem: Any, host: str) -> None:
    assert_problem(http.get("/jobs", headers={"Host": host}), 403, "forbidden")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]:80", "127.1.2.3"])
def test_this_machine_has_many_names(http: httpx.Client, host: str) -> None:
    assert http.get("/jobs", headers={"Host": host}).status_code == 200


def test_a_page_of_another_origin_changes_nothing(http: httpx.Client, assert_problem: Any) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        assert_problem(http.post("/jobs", json={}, headers={"Origin": origin}), 403, "forbidden")
    own = f"http://{http.base_url.netloc.decode()}"
    assert http.post("/jobs", json={}, headers={"Origin": own}).status_code == 201


@pytest.mark.parametrize("path", ["/jobs", "/nosuch", "/../../docs", "/../../"])
def test_a_browser_is_told_to_load_nothing_from_elsewhere(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers
    policy = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    assert headers["content-security-policy"] == policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_it_does_not_listen_to_others_without_a_key(settings: Settings, host: str) -> None:
    exposed = settings.model_copy(update={"host": host})
    with pytest.raises(ExposedWithoutKeyError, match="S2E_API_KEY"):
        create_app(exposed)
    check_exposure(host, KEY)


def test_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LocalHost")))
    assert not any(map(is_loopback, ("", "0.0.0.0", "::", "localhost.evil.example", "10.0.0.1")))


def test_the_pages_are_served(service: Any) -> None:
    for path in ("/", "/jobs/some-id"):
        page = httpx.get(service.url + path)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
    script = httpx.get(service.url + "/assets/api.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert httpx.get(service.url + "/assets/nosuch.js").json()["code"] == "not_found"
    assert httpx.get(service.url + "/assets/../app.py").status_code == 404
