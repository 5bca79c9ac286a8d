"""The report of each kind of job in the terminal: how the client asks for it, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from s2e.client.http import S2EClient
from service.api.schemas_compare import AnyReport
from service.cli.terminal import print_report
from service.cli.terminal_compare import print_comparison


class View(NamedTuple):
    """One kind of job."""

    fetch: Callable[[S2EClient, str], Any]
    draw: Callable[[Any, Path | None, Console | None], None]


VIEWS = {
    "search": View(S2EClient.report, print_report),
    "compare": View(S2EClient.comparison, print_comparison),
}


def fetch_report(client: S2EClient, job_id: str) -> AnyReport:
    """The report of a job of any kind."""
    report: AnyReport = VIEWS[client.job(job_id).spec["kind"]].fetch(client, job_id)
    return report


def draw_report(report: AnyReport, artifact_root: Path | None = None, console: Console | None = None) -> None:
    """A report of any kind, for people."""
    VIEWS[report.kind].draw(report, artifact_root, console)
