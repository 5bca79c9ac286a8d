"""Skips of real-component tests become failures where CI says the component must be there (S2E_REQUIRE)."""

from __future__ import annotations

import os

import pytest

# Ray's and torch's threads must not fight over two cores, and no test may phone home.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    report = yield
    required = set(os.environ.get("S2E_REQUIRE", "").split(",")) - {""}
    missing = required & {mark.name for mark in item.iter_markers()}
    if report.skipped and missing and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although {', '.join(sorted(missing))} is required here: {report.longrepr}"
    return report
