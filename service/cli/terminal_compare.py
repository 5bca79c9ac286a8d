"""A comparison's report in the terminal: one column for each kind of test accuracy, so that none is mistaken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from service.api.schemas_compare import CompareReportOut, CompareRowOut
from service.cli.terminal import percent

_HEADINGS = ("last ten\nepochs", "− baseline", "best of\nall epochs", "at best\nvalidation", "ensemble,\nlast ten")


def comparison(rows: Sequence[CompareRowOut]) -> Table:
    """Every entry on the same seeds, test accuracy in per cent."""
    title = "Test accuracy %, with 95 % intervals over the seeds\n"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("\nentry", overflow="fold")
    for heading in _HEADINGS:
        table.add_column(heading if "\n" in heading else f"\n{heading}", justify="right", no_wrap=True)
    for row in rows:
        figures = (row.best, row.at_best_validation, row.ensemble_last_ten)
        table.add_row(
            row.label + (f" ({row.n_failed} failed)" if row.n_failed else ""),
            percent(row.last_ten.mean, row.last_ten.half_width),
            percent(row.last_ten.difference, row.last_ten.difference_half_width, "+") if row is not rows[0] else "",
            *(percent(figure.mean, figure.half_width) for figure in figures),
        )
    return table


def print_comparison(
    report: CompareReportOut, artifact_root: Path | None = None, console: Console | None = None
) -> None:
    """The table, what it supports in words, which schedule each entry had, and where its first model lies."""
    console = console or Console(highlight=False)
    console.print()
    console.print(comparison(report.rows))
    console.print(report.verdict, markup=False)
    console.print("\nSchedules")
    for row in report.rows:
        console.print(f"  {row.label}: {row.schedule}", markup=False, soft_wrap=True)
    if any(row.model for row in report.rows):
        console.print("Models of the first seed")
    for row in report.rows:
        if row.model is not None:
            shown = row.model if artifact_root is None else artifact_root / row.model
            console.print(f"  {row.label}: {shown}", markup=False, soft_wrap=True)
