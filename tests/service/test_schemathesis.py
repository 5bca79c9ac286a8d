"""Requests made from the OpenAPI document: whatever is sent, the answer is one the document allows, and never a 5xx."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.api.app import openapi_text

ST = Path(sys.executable).with_name("st")


@pytest.mark.slow
@pytest.mark.skipif(not ST.exists(), reason="schemathesis is not installed")
def test_every_answer_is_in_the_document(service: Any, tmp_path: Path) -> None:
    """One check is left out: that whatever fits the schema is accepted. A cursor is opaque, and rules that join two
    fields (K >= 2 for newton) cannot be written in it. And two operations: the event stream of a queued job has no end,
    and a service without a dispatcher, as this one is, answers that it is not ready with 503.
    """
    # A body beyond the limit of size is refused before anybody reads it.
    statuses = "[400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429]"
    config = f"[checks.negative_data_rejection]\nexpected-statuses = {statuses}\n"
    (tmp_path / "schemathesis.toml").write_text(config, encoding="utf-8")
    command = [
        ST, "run", f"{service.url}/openapi.json", "--generation-deterministic", "--max-examples=5",
        "--phases=examples,coverage,fuzzing", "--exclude-checks=positive_data_acceptance",
        "--exclude-operation-id=follow_job", "--exclude-operation-id=readyz", "--no-color",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=170, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    n_operations = sum(len(verbs) for verbs in json.loads(openapi_text())["paths"].values())
    assert f"Tested: {n_operations - 2}" in done.stdout
