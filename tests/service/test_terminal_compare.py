"""A comparison as the terminal prints it."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from s2e.words import Compared, CompareReport, CompareRow, numbers_of
from service.cli.reports import report_files
from service.cli.terminal import print_places
from service.cli.terminal_compare import print_comparison


def figure(mean: float | None, difference: float | None = None) -> Compared:
    half_width = None if mean is None else 0.012
    return Compared(
        values=[mean, mean], mean=mean, half_width=half_width, difference=difference,
        difference_half_width=None if difference is None else 0.004,
    )  # fmt: skip


def row(label: str, difference: float | None, n_failed: int = 0) -> CompareRow:
    names = [number.name for number in numbers_of(CompareRow)]
    figures = {name: figure(0.5 + i / 100) for i, name in enumerate(names)} | {"last_ten": figure(0.8, difference)}
    return CompareRow(
        label=label, method="standard", params={}, train={}, schedule="R = 1", uses_schedule=True, keep_rate=[1.0],
        n_failed=n_failed, model=f"compare/round-0/{label}.safetensors", **figures,
    )  # fmt: skip


def printed(*rows: CompareRow, width: int = 100) -> str:
    report = CompareReport(rows, "b is better than a.", "a", 2)
    text = io.StringIO()
    console = Console(file=text, width=width)
    print_comparison(report, console)
    print_places(console, report_files(report, report.kind, Path("out")))
    return text.getvalue()


def test_every_kind_of_accuracy_has_its_own_column() -> None:
    """best is the third figure of a row (.52), at_best_validation the fourth, ensemble_last_ten the fifth."""
    lines = printed(row("first", None), row("second", 0.021, n_failed=1)).splitlines()
    [first] = [line for line in lines if re.match(r" ?first .*\d ±", line)]
    [second] = [line for line in lines if re.match(r" ?second .*\d ±", line)]
    assert figures_in(first) == ["80.0 ± 1.2", "52.0 ± 1.2", "53.0 ± 1.2", "54.0 ± 1.2"]
    assert figures_in(second) == ["80.0 ± 1.2", "+2.1 ± 0.4", "52.0 ± 1.2", "53.0 ± 1.2", "54.0 ± 1.2"]
    assert second.strip().startswith("second (1 failed)")
    assert "b is better than a." in lines
    assert re.search(
        r"model of first, first seed: +out/compare/round-0/first.safetensors\n", printed(row("first", None))
    )
    assert "  second: R = 1" in lines


def figures_in(line: str) -> list[str]:
    return re.findall(r"[+-]?\d+\.\d ± \d\.\d", line)


def test_a_narrow_terminal_wraps_the_label_between_words_and_no_number() -> None:
    text = printed(row("a", None), row("Co-teaching, eq. (1), tau 0.3", -0.02), width=80)
    assert figures_in(text)[4:6] == ["80.0 ± 1.2", "-2.0 ± 0.4"]
    assert "Co-teaching," in text
    assert max(map(len, text.splitlines()[:12])) <= 80
