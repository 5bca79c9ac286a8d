"""Logs, disks and readiness, as somebody who keeps the service running meets them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from service import disk, logs
from service.settings import Settings

KEY = "a-secret-of-the-settings"


def lines_of(records: list[logging.LogRecord], name: str) -> list[dict[str, Any]]:
    return [json.loads(logs.JsonLines().format(record)) for record in records if record.name == name]


def test_a_request_leaves_a_line_with_its_ids_and_no_secret(
    settings: Settings, start_server: Callable[[Settings], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "s2e.access")
    with start_server(settings.model_copy(update={"api_key": SecretStr(KEY)})) as service:
        headers = {"Authorization": f"Bearer {KEY}", "X-Request-Id": "mine-1"}
        job = service.http.post("/jobs", json={"name": "x"}, headers=headers).json()["id"]
        service.http.post(f"/jobs/{job}/cancel", headers=headers | {"X-Request-Id": "bad id"})
        service.http.get("/nosuch")
        httpx.get(service.url + "/healthz")  # asked every few seconds: not logged
    made, cancelled, refused = lines_of(caplog.records, "s2e.access")
    assert made.items() >= {"request_id": "mine-1", "operation": "create_job", "status": 201, "owner": "admin"}.items()
    assert cancelled.items() >= {"job": job, "operation": "cancel_job", "method": "POST", "level": "info"}.items()
    assert cancelled["request_id"] not in ("", "bad id")
    assert (refused["status"], refused["operation"]) == (401, "other")
    assert KEY not in caplog.text + json.dumps([made, cancelled, refused])


def test_a_line_is_json_with_the_exception_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure()
        try:
            raise ValueError("why")
        except ValueError:
            logging.getLogger("s2e.populations").exception("lost", extra=logs.about(job="j", attempt=2))
        logging.getLogger("httpx").info("a library says nothing below a warning")
    finally:
        root.handlers[:], _ = before[0], root.setLevel(before[1])
        for name in ("s2e", "service", "workers"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert line.items() >= {"event": "lost", "job": "j", "attempt": 2, "level": "error"}.items()
    assert line["exception"].endswith("ValueError: why")


def test_a_disk_that_cannot_be_written_to_or_is_full_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert disk.trouble(tmp_path / "not" / "there" / "yet") == ""
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "file"
    file.touch()
    assert "cannot be written to" in disk.trouble(file)
    monkeypatch.setattr(disk, "FULL_BYTES", 10**18)
    assert "the artifact disk is full" in disk.trouble(tmp_path)


def test_the_service_is_not_ready_without_room_for_artifacts(
    http: httpx.Client, assert_problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "FULL_BYTES", 10**18)
    answer = httpx.get(str(http.base_url).removesuffix("/api/v1/") + "/readyz")
    assert "the artifact disk is full" in assert_problem(answer, 503, "unavailable")["detail"]
