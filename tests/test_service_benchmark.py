"""The benchmarks of the service in tiny form, against real api processes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


def measured(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> Any:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(ROOT)
    bench = importlib.import_module(f"benchmarks.{name}")
    return bench.measure(bench.parser().parse_args(["--tiny", *arguments]))


def test_trials_through_a_real_api_are_all_done_and_leased_once(monkeypatch: pytest.MonkeyPatch) -> None:
    result = measured(monkeypatch, "bench_service", "--no-postgres", "--processes")["sqlite"]
    (row,) = result["trials"]
    assert row["trials"] == 20
    assert row["statuses"] == {"200": 12 * 20}
    assert row["doubled_leases"] == 0
    assert row["seconds"].keys() == {"claim", "report", "finish"}
    assert result["epoch_rows"]["rows"] == 2 * 8 * 25


def test_every_view_of_a_job_under_way_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    result = measured(monkeypatch, "bench_views")
    assert (result["trials"], result["jobs"]) == (100, 3)
    assert all(view["bytes"] > 0 for view in result["views"].values())
    assert result["memory_of_the_server"]["most_mb"] >= result["memory_of_the_server"]["before_mb"] > 0
