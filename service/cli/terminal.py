"""Drawing in the terminal: R(t), the comparison table, a search under way, a job in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from s2e.client.http import JobEvent, S2EClient
from s2e.parts import Setting
from service.api.schemas import JobOut, ReportOut, ReportRowOut
from service.lifecycle import TRIAL_ENDED

_EIGHTHS = " ▁▂▃▄▅▆▇█"
AXIS = 5
"""Columns left of the plot."""


def plot(keep_rate: Sequence[float], width: int = 60, height: int = 8, *, unicode: bool = True) -> str:
    """R(t) as an area under axes from 0 to 1 and from epoch 0 to T-1."""
    n_epochs = len(keep_rate)
    width = max(2, width)
    columns = [keep_rate[round(c * (n_epochs - 1) / (width - 1))] for c in range(width)]
    lines = []
    for row in reversed(range(height)):
        label = {height - 1: "1.0", height // 2 - 1: "0.5"}.get(row, "")
        cells = "".join(_cell(value * height - row, unicode) for value in columns)
        lines.append(f"{label:>{AXIS - 1}}{'┤' if unicode and label else '│' if unicode else '|'}{cells}".rstrip())
    corner, line = ("└", "─") if unicode else ("+", "-")
    lines.append(f"{'0.0':>{AXIS - 1}}{corner}{line * width}")
    last = str(n_epochs - 1)
    lines.append(f"{'':>{AXIS}}{'0':<{width - len(last)}}{last}")
    return "\n".join([f"{'R(t)':>{AXIS - 1}}", *lines, f"{'':>{AXIS}}{'epoch t':^{width}}".rstrip()])


def _cell(level: float, unicode: bool) -> str:
    """One character filled to ``level`` (below 0: empty, above 1: full)."""
    level = min(1.0, max(0.0, level))
    if unicode:
        return _EIGHTHS[round(level * 8)]
    return "#" if level >= 0.5 else " "


def speaks_unicode(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")


def percent(value: float | None, half_width: float | None = None, sign: str = "") -> str:
    """A fraction in per cent, with the half-width of its interval."""
    if value is None:
        return "–"
    text = f"{100 * value:{sign}.1f}"
    return text if half_width is None else f"{text} ± {100 * half_width:.1f}"


def settings(train: Mapping[str, Any]) -> str:
    """Training settings that differ from the job's, the method's own hyperparameters last."""
    values = {name: value for name, value in train.items() if name != "params"} | train.get("params", {})
    shown = (f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
    return ", ".join(shown)


def comparison(rows: Sequence[ReportRowOut]) -> Table:
    """The final table: every schedule on the same fresh seeds."""
    title = "Re-trained on fresh seeds, with 95 % intervals\n"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("\nschedule", no_wrap=True)
    for heading in ("test\naccuracy %", "label\nprecision %", "searched\n− this", "\nseeds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        seeds = str(len(row.test_accuracy)) + (f" (+{row.n_failed} failed)" if row.n_failed else "")
        difference = percent(row.difference, row.difference_half_width, "+") if row.label != "searched" else ""
        table.add_row(row.title, percent(row.mean, row.half_width), percent(row.label_precision), difference, seeds)
    return table


def print_report(report: ReportOut, artifact_root: Path | None = None, console: Console | None = None) -> None:
    """The recommended schedule, the comparison, what it supports in words, and where the files lie."""
    console = console or Console(highlight=False)
    where = "" if report.recommended is None else " (round {}, trial {})".format(*report.recommended)
    console.print(f"\nRecommended schedule{where}")
    print_plot(console, report.keep_rate)
    if report.train:
        console.print(f"with {settings(report.train)}", markup=False)
    console.print()
    console.print(comparison(report.rows))
    console.print(report.verdict, markup=False)
    if report.basis:
        console.print(f"\n{report.basis}", markup=False)
    if report.best_run is not None:
        m, k = report.best_run
        accuracy = percent(report.best_run_validation_accuracy)
        console.print(f"\nBest single run of the search: round {m}, trial {k}, validation accuracy {accuracy} %")
    schedule = _schedule_file(report)
    files = (
        ("model of the recommended schedule", report.recommended_model),
        ("model of the best single run", report.best_run_model),
        ("the recommended schedule", schedule),
    )
    for name, path in files:
        if path is not None:
            shown = path if artifact_root is None else artifact_root / path
            console.print(f"  {name + ':':<35}{shown}", soft_wrap=True, markup=False)


def _schedule_file(report: ReportOut) -> str | None:
    """schedule.json lies in the folder of the job, which is the first part of every model's path."""
    model = report.recommended_model or report.best_run_model
    return None if model is None else f"{model.partition('/')[0]}/schedule.json"


def print_plot(console: Console, keep_rate: Sequence[float]) -> None:
    """R(t), as wide as the terminal allows."""
    width = min(60, console.width - AXIS - 1)
    console.print(plot(keep_rate, width, unicode=speaks_unicode(console)), markup=False)


def show_job(console: Console, job: JobOut) -> None:
    """A job in a few lines."""
    done = job.progress
    console.print(f"{job.id}  {job.name}", markup=False)
    console.print(f"  state   {job.state}{': ' + job.reason if job.reason else ''}", markup=False)
    most = "" if job.state == "completed" else "at most "
    console.print(f"  rounds  {done.rounds_done} of {most}{done.rounds_total}")
    console.print(f"  trials  {done.trials_done} of {most}{done.trials_total}")
    console.print(f"  epochs  {done.epochs_done} of {most}{done.epochs_total}" + _left(done.eta_s))
    console.print(f"  created {job.created_at:%Y-%m-%d %H:%M:%S} UTC")


def _left(eta_s: float | None) -> str:
    return "" if eta_s is None else f", about {eta_s:.0f} s left"


def jobs_table(jobs: Sequence[JobOut]) -> Table:
    """Jobs, one a line."""
    table = Table(box=None)
    table.add_column("id", no_wrap=True, min_width=36)  # an id cut short is of no use
    for heading in ("name", "state", "trials", "left", "UTC"):
        table.add_column(heading)
    for job in jobs:
        done = job.progress
        left = "" if done.eta_s is None else f"{done.eta_s:.0f} s"
        trials = f"{done.trials_done}/{done.trials_total}"
        table.add_row(job.id, job.name, job.state, trials, left, f"{job.created_at:%m-%d %H:%M}")
    return table


class LiveSearch:
    """A progress bar over the epochs of all trials, with the round and the best validation accuracy so far.

    ``n_rounds`` and ``n_trials`` are upper bounds; a search that is left without them has needed no more.
    """

    def __init__(self, console: Console, n_rounds: int, n_trials: int, n_epochs: int) -> None:
        self.n_rounds, self.n_trials, self.n_epochs = n_rounds, n_trials, n_epochs
        self.best: float | None = None
        self.n_ended = 0
        self._epochs: dict[object, int] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(None),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: TaskID = self._progress.add_task("waiting for the first round", total=n_trials * n_epochs)
        self._round = "waiting for the first round"

    def __enter__(self) -> LiveSearch:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.n_ended:
            self._progress.update(self._task, total=sum(self._epochs.values()))
        self._progress.stop()

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def round(self, index: int, kind: str) -> None:
        """A round was asked."""
        self._round = f"round {index + 1} of at most {self.n_rounds} ({kind})"
        if not self._progress.console.is_terminal:
            self.say(f"{self._round}; {self._words()}")
        self._show()

    def epoch(self, trial: object, epoch: int) -> None:
        """A trial (any name for it) has finished ``epoch``."""
        self._epochs[trial] = epoch + 1
        self._show()

    def ended(self, trial: object, validation_accuracy: float | None) -> None:
        """A trial ended, well or not."""
        self._epochs[trial] = self.n_epochs
        self.n_ended += 1
        if validation_accuracy is not None:
            self.best = max(validation_accuracy, self.best or 0.0)
        self._show()

    def _words(self) -> str:
        best = "" if self.best is None else f", best validation accuracy {percent(self.best)} %"
        return f"{self.n_ended} of at most {self.n_trials} trials{best}"

    def _show(self) -> None:
        done = sum(self._epochs.values())
        self._progress.update(self._task, completed=done, description=f"{self._round}; {self._words()}")


def problem_lines(detail: str, errors: Sequence[Mapping[str, object]]) -> list[str]:
    """A refusal for people: what was refused, then each field with its value and what is allowed."""
    return [detail, *(f"  {e['field']} = {e['value']!r}: {e['allowed']}" for e in errors)]


def setting_lines(settings: Sequence[Setting]) -> list[str]:
    """Settings of a part for people: name, default, what is allowed, and what each does."""
    return [f"{one.name} = {one.default!r} ({one.allowed}): {one.doc}" for one in settings]


def watch(client: S2EClient, job_id: str, console: Console | None = None) -> JobOut:
    """Follow a job to its end under a progress bar; the job as it ended."""
    progress = client.job(job_id).progress
    n_epochs = progress.epochs_total // progress.trials_total
    console = console or Console(highlight=False)
    with LiveSearch(console, progress.rounds_total, progress.trials_total, n_epochs) as live:
        for event in client.events(job_id):
            _show_event(live, event)
    return client.job(job_id)


def _show_event(live: LiveSearch, event: JobEvent) -> None:
    data: dict[str, Any] = event.data
    if event.kind == "round":
        live.round(data["round"], data["kind"])
    elif event.kind == "epochs":
        for trial in data["trials"]:
            live.epoch(trial["id"], data["epoch"])
    elif event.kind == "trial" and data["state"] in TRIAL_ENDED:
        live.ended(data["id"], data["validation_accuracy"])
    elif event.kind == "job" and data["reason"]:
        live.say(f"{data['state']}: {data['reason']}")
