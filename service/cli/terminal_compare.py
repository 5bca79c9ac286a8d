"""A comparison's report in the terminal: one column for each kind of test accuracy, so that none is mistaken."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from s2e.progress import percent
from s2e.words import Compared, CompareReport, CompareRow, numbers_of

_BESIDE = ("best", "at_best_validation", "ensemble_last_ten")
"""Figures beside the last ten epochs, whose differences the verdict is about."""


def comparison(rows: Sequence[CompareRow], accuracy: str = "test accuracy") -> Table:
    """Every entry on the same seeds, accuracy in per cent."""
    titles = {number.name: fill(number.title, 10) for number in numbers_of(CompareRow)}
    title = f"{accuracy.capitalize()} %, with 95 % intervals over the seeds\n"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("\nentry", overflow="fold")
    for heading in (titles["last_ten"], "− baseline", *(titles[name] for name in _BESIDE)):
        table.add_column(heading if "\n" in heading else f"\n{heading}", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.label + (f" ({row.n_failed} failed)" if row.n_failed else ""),
            _figure(row.last_ten),
            _difference(row.last_ten) if row is not rows[0] else "",
            *(_figure(getattr(row, name)) for name in _BESIDE),
        )
    return table


def _figure(figure: Compared | None) -> str:
    return percent(None) if figure is None else percent(figure.mean, figure.half_width)


def _difference(figure: Compared | None) -> str:
    return percent(None) if figure is None else percent(figure.difference, figure.difference_half_width, "+")


def print_comparison(report: CompareReport, console: Console | None = None) -> None:
    """The table, what it supports in words, and which schedule each entry had."""
    console = console or Console(highlight=False)
    console.print()
    console.print(comparison(report.rows, report.accuracy))
    console.print(report.verdict, markup=False)
    if report.basis:
        console.print(f"\n{report.basis}", markup=False)
    console.print("\nSchedules")
    for row in report.rows:
        console.print(f"  {row.label}: {row.schedule}", markup=False, soft_wrap=True)
