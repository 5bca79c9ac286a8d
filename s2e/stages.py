"""The stage of a fit, for whoever waits: whatever is begun tells it, and a bar shows it beside the time.

A fit is made of many hands, most of which nobody watches; so they tell it to the context and not to an argument.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event, Thread

from s2e.words import Population

TICK_S = 0.2
EVERY_S = 10.0
"""Between two lines where there is no terminal."""
SOON_S = 2.0
"""Work that is over by then needs no line."""


class Stage(str):
    """Words for what is being done, with the share of it that is done where that is known."""

    __slots__ = ("left_s", "share")
    share: float | None
    left_s: float | None
    """Seconds that it takes yet, by what it took so far."""

    def __new__(cls, words: str, share: float | None = None, left_s: float | None = None) -> Stage:
        stage = super().__new__(cls, words)
        stage.share, stage.left_s = share, left_s
        return stage

    @property
    def in_words(self) -> str:
        """With the share."""
        return str(self) if self.share is None else f"{self}, {self.share:.0%} done"


Hears = Callable[[Stage], None]
_listener: ContextVar[Hears | None] = ContextVar("s2e.stages", default=None)


def tell(stage: str) -> None:
    """A stage begins, such as "estimating the noise"."""
    if (listener := _listener.get()) is not None:
        listener(stage if isinstance(stage, Stage) else Stage(stage))


def shares_of(stage: str) -> Callable[[float], None]:
    """Tells that the stage begins, and to whom the share of it that is done is to be told from then on."""
    began = time.monotonic()
    tell(stage)

    def done(share: float) -> None:
        took = time.monotonic() - began
        tell(Stage(stage, share, took * (1 - share) / share if share > 0 else None))

    return done


def stage_of(wave: Iterable[Population]) -> str:
    """The round that populations belong to, and what trains in it."""
    trials = [trial for population in wave for trial in population.trials]
    labels = dict.fromkeys(trial.label for trial in trials)
    what = f"{len(trials)} schedules" if set(labels) == {"search"} else ", ".join(labels)
    return f"round {trials[0].round + 1}: {what}"


@contextmanager
def heard(listener: Hears) -> Iterator[None]:
    """``listener`` hears the stages that begin inside."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Shown:
    """Stages on standard error: a bar in a terminal, which is gone afterwards; elsewhere lines of the newest
    stage, the first after ``first_s`` seconds and then one every ten."""

    def __init__(self, seconds: float | None, first_s: float = 0.0) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.seconds, self.console, self.began = seconds, Console(stderr=True), time.monotonic()
        words, left = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[left]}")
        columns = (words, BarColumn(None), TimeElapsedColumn(), left)
        self.bar = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.task = self.bar.add_task("", total=seconds, left="")
        self.stage: Stage | None = None
        self.last_line_s = first_s - EVERY_S

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began

    def show(self, stage: Stage) -> None:
        self.stage = stage
        self.tick()

    def tick(self) -> None:
        """Another look at the time."""
        if (stage := self.stage) is None:
            return
        elapsed_s = self.elapsed_s
        if self.console.is_terminal:
            self._move(stage, elapsed_s)
        elif elapsed_s - self.last_line_s >= EVERY_S:
            self.last_line_s = elapsed_s
            of = "" if self.seconds is None else f" of {self.seconds:.0f}"
            left = "" if stage.left_s is None or self.seconds is not None else f", about {stage.left_s:.0f} s left"
            line = f"{elapsed_s:.0f}{of} s: {stage.in_words}{left}"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _move(self, stage: Stage, elapsed_s: float) -> None:
        if self.seconds is not None:
            left = f"{max(0.0, self.seconds - elapsed_s):.0f} s left"
            self.bar.update(self.task, description=stage.in_words, completed=elapsed_s, left=left)
            return
        left, total = "" if stage.left_s is None else f"{stage.left_s:.0f} s left", stage.share and 1.0
        self.bar.update(self.task, description=str(stage), total=total, completed=stage.share or 0.0, left=left)


@contextmanager
def shown(seconds: float | None = None, first_s: float = 0.0) -> Iterator[None]:
    """Standard error shows the stages inside, the part of them that is done, and the time that is left, of ``seconds``
    where there is a budget: as a bar in a terminal, else as a line every ten seconds, from ``first_s`` on."""
    on_screen, over = Shown(seconds, first_s), Event()

    def tick() -> None:
        while not over.wait(TICK_S):
            on_screen.tick()

    thread = Thread(target=tick, daemon=True)
    with on_screen.bar, heard(on_screen.show):
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
