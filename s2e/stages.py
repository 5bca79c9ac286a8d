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
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("s2e.stages", default=None)


def tell(stage: str) -> None:
    """A stage begins, such as "estimating the noise"."""
    if (listener := _listener.get()) is not None:
        listener(stage)


def stage_of(wave: Iterable[Population]) -> str:
    """The round that populations belong to, and what trains in it."""
    trials = [trial for population in wave for trial in population.trials]
    labels = dict.fromkeys(trial.label for trial in trials)
    what = f"{len(trials)} schedules" if set(labels) == {"search"} else ", ".join(labels)
    return f"round {trials[0].round + 1}: {what}"


@contextmanager
def heard(listener: Callable[[str], None]) -> Iterator[None]:
    """``listener`` hears the stages that begin inside."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def shown(seconds: float | None = None) -> Iterator[None]:
    """Standard error shows the stages inside and the time, of ``seconds`` where there is a budget: as a bar in a
    terminal, which is gone afterwards, else a line for each stage."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console, began = Console(stderr=True), time.monotonic()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(None), TimeElapsedColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task, over = bar.add_task("", total=seconds), Event()

    def show(stage: str) -> None:
        bar.update(task, description=stage)
        if not console.is_terminal:
            console.print(f"{time.monotonic() - began:.0f} s: {stage}", markup=False, highlight=False, soft_wrap=True)

    def tick() -> None:
        while not over.wait(TICK_S):
            bar.update(task, completed=time.monotonic() - began)

    thread = Thread(target=tick, daemon=True)
    with bar, heard(show):
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
