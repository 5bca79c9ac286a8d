"""A job under way in the terminal: a progress bar over the epochs of all its trials."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from s2e.stages import EVERY_S


class Listener(Protocol):
    """Hears how a job goes on. A ``trial`` is any name for one."""

    def round(self, index: int, kind: str, n_trials: int) -> None:
        """A round was asked."""

    def epoch(self, trial: object, epoch: int) -> None:
        """A trial has finished ``epoch``."""

    def ended(self, trial: object, label: str, share: float, validation_accuracy: float | None) -> None:
        """A trial that is ``share`` of a full training ended; None: without an accuracy."""


def percent(value: float | None, half_width: float | None = None, sign: str = "") -> str:
    """A fraction in per cent, with the half-width of its interval."""
    if value is None:
        return "–"
    text = f"{100 * value:{sign}.1f}"
    return text if half_width is None else f"{text} ± {100 * half_width:.1f}"


class BestRun:
    """The best validation accuracy of the search, as its report will have it: re-trainings do not count, and parts of
    trainings only until a longer one has ended."""

    def __init__(self) -> None:
        self.validation_accuracy: float | None = None
        self._share = 0.0

    def ended(self, label: str, share: float, validation_accuracy: float | None) -> None:
        if label != "search" or validation_accuracy is None or share < self._share:
            return
        best = self.validation_accuracy if share == self._share else None
        self._share = share
        self.validation_accuracy = validation_accuracy if best is None else max(best, validation_accuracy)


class JobProgress:
    """The bar, with the round and the best validation accuracy of the search so far; where there is no terminal a line
    every ten seconds, and for ``each_round`` where that is asked.

    ``n_rounds`` and ``n_trials`` are upper bounds; a job that is left without them has needed no more.
    """

    def __init__(
        self,
        console: Console,
        n_rounds: int,
        n_trials: int,
        n_epochs: int,
        *,
        each_round: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.n_rounds, self.n_trials, self.n_epochs = n_rounds, n_trials, n_epochs
        self._clock, self._began, self._last_line = clock, clock(), -EVERY_S
        self._each_round = each_round
        self.best = BestRun()
        self._ended: set[object] = set()
        self._epochs: dict[object, int] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(None),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._round = "waiting for the first round"
        self._task: TaskID = self._progress.add_task(self._round, total=n_trials * n_epochs)

    def __enter__(self) -> JobProgress:
        if not self._progress.disable:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended and kind is None:
            self._progress.update(self._task, total=sum(self._epochs.values()))
            if not self._progress.console.is_terminal:
                self.say(self._words())
        if not self._progress.disable:  # Rich before 14 ends even that with an empty line
            self._progress.stop()

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def round(self, index: int, kind: str, n_trials: int = 0) -> None:  # noqa: ARG002  for listeners that print
        self._round = f"round {index + 1} of at most {self.n_rounds} ({kind})"
        self._show(now=self._each_round)

    def epoch(self, trial: object, epoch: int) -> None:
        self._epochs[trial] = epoch + 1
        self._show()

    def ended(self, trial: object, label: str, share: float, validation_accuracy: float | None) -> None:
        if trial in self._ended:  # told twice
            return
        self._epochs[trial] = self.n_epochs
        self._ended.add(trial)
        self.best.ended(label, share, validation_accuracy)
        self._show()

    def _words(self) -> str:
        best = self.best.validation_accuracy
        words = "" if best is None else f", best validation accuracy {percent(best)} %"
        return f"{len(self._ended)} of at most {self.n_trials} trials{words}"

    def _short(self) -> str:
        """As little as leaves room for a bar in 80 columns."""
        best = self.best.validation_accuracy
        words = "" if best is None else f", best {percent(best)} %"
        return f"{self._round.replace(' of at most ', '/')}, {len(self._ended)}/{self.n_trials} trials{words}"

    def _show(self, *, now: bool = False) -> None:
        done = sum(self._epochs.values())
        self._progress.update(self._task, completed=done, description=self._short())
        took = self._clock() - self._began
        if not self._progress.console.is_terminal and (now or took - self._last_line >= EVERY_S):
            self._last_line = took
            most = self.n_trials * self.n_epochs
            left = f", at most {took * (most - done) / done:.0f} s left" if 0 < done < most and not now else ""
            self.say(f"{self._round}; {self._words()}{left}")
