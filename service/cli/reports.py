"""The report of each kind of job in the terminal, and the files that it names: one table, keyed by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from s2e.words import CompareReport, Report
from service.cli.terminal import print_report
from service.cli.terminal_compare import print_comparison

Named = tuple[str, str | None]
"""Description of a model, and its path below the artifact root where it was kept."""


class View(NamedTuple):
    """One kind of job."""

    draw: Callable[[Any, Console], None]
    models: Callable[[Any], Sequence[Named]]


def _of_search(report: Report) -> Sequence[Named]:
    return [
        ("model of the recommended schedule", report.recommended_model),
        ("model of the best single run", report.best_run_model),
    ]


def _of_comparison(report: CompareReport) -> Sequence[Named]:
    return [(f"model of {row.label}, first seed", row.model) for row in report.rows]


VIEWS: Mapping[str, View] = {
    "search": View(print_report, _of_search),
    "compare": View(print_comparison, _of_comparison),
}


def draw_report(report: Any, console: Console) -> None:
    """A report of any kind, for people."""
    VIEWS[report.kind].draw(report, console)


def models_of(report: Any) -> list[tuple[str, str]]:
    """Each model that a report names: its role, and its path below the artifact root."""
    return [(name, path) for name, path in VIEWS[report.kind].models(report) if path is not None]


def report_files(report: Any, kind: str, root: Path) -> list[tuple[str, Path]]:
    """Files that an in-process job of this kind has left below ``root``."""
    files = [(name, root / path) for name, path in models_of(report)]
    schedule = root / kind / "schedule.json"
    files += [("the recommended schedule", schedule)] if schedule.exists() else []
    return [*files, ("every round", root / kind / f"{kind}.json")]
