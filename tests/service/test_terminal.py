"""Drawings in the terminal."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from s2e.progress import BestRun, JobProgress, percent
from s2e.words import ReportRow
from service.cli import terminal

FALLING = [1, 2 / 3, 1 / 3, 0]


def test_a_plot_has_axes_and_the_curve() -> None:
    """R falls from 1 to 0 over four columns: areas of 4, 2.67, 1.33 and 0 rows of four; .67 is five eighths."""
    assert terminal.plot(FALLING, width=4, height=4).splitlines() == [
        "R(t)",
        " 1.0┤█",
        "    │█▅",
        " 0.5┤██▃",
        "    │███",
        " 0.0└────",
        "     0  3",
        "     epoch t",
    ]


def test_a_plot_for_terminals_without_unicode() -> None:
    text = terminal.plot(FALLING, width=4, height=4, unicode=False)
    assert text.isascii()
    assert text.splitlines()[1:5] == [" 1.0|#", "    |##", " 0.5|##", "    |###"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.integers(2, 80), st.integers(2, 12))
def test_a_plot_fits_whatever_is_drawn(keep_rate: list[float], width: int, height: int) -> None:
    lines = terminal.plot(keep_rate, width, height).splitlines()
    assert len(lines) == height + 4
    assert max(map(len, lines)) <= max(width, len("epoch t"), 4) + terminal.AXIS
    assert lines[height + 1].endswith("─" * width)


@pytest.mark.parametrize(
    ("value", "half_width", "sign", "text"),
    [
        (0.9123, None, "", "91.2"),
        (0.9123, 0.011, "", "91.2 ± 1.1"),
        (0.02, 0.01, "+", "+2.0 ± 1.0"),
        (None, None, "", "–"),
    ],
)
def test_per_cent(value: float | None, half_width: float | None, sign: str, text: str) -> None:
    assert percent(value, half_width, sign) == text


def row(label: str, title: str, difference: float | None, n_failed: int = 0) -> ReportRow:
    return ReportRow(
        label=label,
        title=title,
        keep_rate=[1.0],
        test_accuracy=[0.9, 0.92],
        mean=0.91,
        half_width=0.127,
        label_precision=0.875,
        difference=difference,
        difference_half_width=None if difference is None else 0.1,
        n_failed=n_failed,
    )


def test_the_comparison_fits_eighty_columns_uncut() -> None:
    rows = [row("searched", "searched schedule", None), row("default", "default Co-teaching schedule", -0.023)]
    text = io.StringIO()
    Console(file=text, width=80).print(terminal.comparison(rows))
    lines = text.getvalue().splitlines()
    assert "…" not in text.getvalue()
    searched, default = (next(line.split() for line in lines if word in line) for word in ("searched sch", "default"))
    assert searched == ["searched", "schedule", "91.0", "±", "12.7", "87.5", "2"]
    assert default == ["default", "Co-teaching", "schedule", "91.0", "±", "12.7", "87.5", "-2.3", "±", "10.0", "2"]


def test_failed_seeds_are_counted_in_the_open() -> None:
    text = io.StringIO()
    Console(file=text, width=100).print(terminal.comparison([row("all", "R = 1", 0.1, n_failed=3)]))
    assert "2 (+3 failed)" in text.getvalue()


class Clock:
    """Stands still but for those who move it."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_without_a_terminal_there_is_a_line_every_ten_seconds_and_the_time_left() -> None:
    text, clock = io.StringIO(), Clock()
    with JobProgress(Console(file=text, width=120), 9, 4, n_epochs=10, each_round=False, clock=clock) as live:
        for m in range(5):
            live.round(m, "search")
            clock.at += 3
        live.epoch("a", 0)
        clock.at += 5
        live.epoch("a", 9)  # ten of forty epochs after 20 s, eight after the last line
        clock.at += 5
        live.epoch("b", 0)
        live.epoch("b", 1)
    first, second, third = text.getvalue().splitlines()
    assert first == "round 1 of at most 9 (search); 0 of at most 4 trials"
    assert second == "round 5 of at most 9 (search); 0 of at most 4 trials"
    assert third == "round 5 of at most 9 (search); 0 of at most 4 trials, at most 66 s left"


def test_progress_counts_epochs_trials_and_the_best() -> None:
    text = io.StringIO()
    console = Console(file=text, width=120)
    with JobProgress(console, n_rounds=3, n_trials=2, n_epochs=10) as live:
        live.round(0, "search")
        live.epoch("a", 3)
        live.epoch("b", 4)
        assert live._progress.tasks[0].completed == 9
        live.epoch("b", 0)  # a new attempt begins anew
        assert live._progress.tasks[0].completed == 5
        live.ended("a", "search", 1.0, 0.75)
        live.ended("b", "search", 1.0, None)
        assert live._progress.tasks[0].completed == 20
        live.round(1, "search")
        live.ended("c", "searched", 1.0, 0.99)
        live.round(2, "retrain")
    assert "round 1 of at most 3 (search); 0 of at most 2 trials\n" in text.getvalue()
    assert "round 2 of at most 3 (search); 2 of at most 2 trials, best validation accuracy 75.0 %\n" in text.getvalue()
    assert "round 3 of at most 3 (retrain); 3 of at most 2 trials, best validation accuracy 75.0 %\n" in text.getvalue()


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_fits_into_eighty_columns(is_terminal: bool) -> None:
    text = io.StringIO()
    with JobProgress(Console(file=text, width=80, force_terminal=is_terminal), 9, 66, n_epochs=60) as live:
        live.round(8, "retrain")
        for k in range(66):
            live.ended(k, "search", 1.0, 0.945)
    assert "…" not in text.getvalue()
    assert ("66/66 trials, best 94.5 % " if is_terminal else "\n66 of at most 66 trials, best") in text.getvalue()


def test_the_best_run_is_that_of_the_report() -> None:
    """Re-trainings do not count, and a third of a training only until a whole one has ended."""
    best = BestRun()
    best.ended("search", 1 / 3, 0.9)
    assert best.validation_accuracy == 0.9
    for label, share, accuracy in (("search", 1.0, 0.7), ("search", 1 / 3, 0.95), ("tau=0.2", 1.0, 0.99)):
        best.ended(label, share, accuracy)
    best.ended("search", 1.0, None)
    best.ended("search", 1.0, 0.72)
    assert best.validation_accuracy == 0.72
