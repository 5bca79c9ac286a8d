"""Drawing in the terminal: R(t), the final table, a job in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from s2e.words.states import TRIAL_ENDED

if TYPE_CHECKING:
    from s2e.client.http import JobEvent, S2EClient
    from s2e.parts import Listed
    from s2e.progress import JobProgress
    from s2e.words import Report, ReportRow
    from s2e.words.answers import Job, LogLine

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


def settings(train: Mapping[str, Any]) -> str:
    """Training settings that differ from the job's, the method's own hyperparameters last."""
    values = {name: value for name, value in train.items() if name != "params"} | train.get("params", {})
    shown = (f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
    return ", ".join(shown)


def comparison(rows: Sequence[ReportRow], accuracy: str = "test accuracy") -> Table:
    """The final table: every schedule on the same fresh seeds; no label precision unless the truth is known."""
    from s2e.progress import percent

    title = "Re-trained on fresh seeds, with 95 % intervals\n"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("\nschedule", no_wrap=True)
    has_precision = any(row.label_precision is not None for row in rows)
    precision = ("label\nprecision %",) if has_precision else ()
    for heading in (_in_two_lines(f"{accuracy} %"), *precision, "searched\n− this", "\nseeds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        seeds = str(len(row.of_seeds)) + (f" (+{row.n_failed} failed)" if row.n_failed else "")
        difference = percent(row.difference, row.difference_half_width, "+") if row.label != "searched" else ""
        selected = [percent(row.label_precision)] if has_precision else []
        table.add_row(row.title, percent(row.mean, row.half_width), *selected, difference, seeds)
    return table


def _in_two_lines(heading: str) -> str:
    """A heading broken at the blank that makes both lines most alike."""
    blanks = [i for i, letter in enumerate(heading) if letter == " " and heading[i + 1 :] != "%"]
    middle = min(blanks, key=lambda i: abs(2 * i - len(heading)))
    return f"{heading[:middle]}\n{heading[middle + 1 :]}"


def print_report(report: Report, console: Console | None = None) -> None:
    """The recommended schedule, the comparison, and its verdict."""
    console = console or Console(highlight=False)
    where = "" if report.recommended is None else " (round {}, trial {})".format(*report.recommended)
    console.print(f"\nRecommended schedule{where}")
    print_plot(console, report.keep_rate)
    if report.train:
        console.print(f"with {settings(report.train)}", markup=False)
    console.print()
    console.print(comparison(report.rows, report.accuracy))
    console.print(report.verdict, markup=False)
    if report.basis:
        console.print(f"\n{report.basis}", markup=False)
    if report.best_run is not None:
        from s2e.progress import percent

        m, k = report.best_run
        accuracy = percent(report.best_run_validation_accuracy)
        console.print(f"\nBest single run of the search: round {m}, trial {k}, validation accuracy {accuracy} %")


def print_places(console: Console, places: Sequence[tuple[str, object]]) -> None:
    """Print one place a line: its name, and a path or a command."""
    width = max((len(name) for name, _ in places), default=0) + 2
    for name, place in places:
        console.print(f"  {name + ':':<{width}}{place}", soft_wrap=True, markup=False)


def print_plot(console: Console, keep_rate: Sequence[float]) -> None:
    """R(t), as wide as the terminal allows."""
    width = min(60, console.width - AXIS - 1)
    console.print(plot(keep_rate, width, unicode=speaks_unicode(console)), markup=False)


def show_job(console: Console, job: Job) -> None:
    """A job in a few lines."""
    done = job.progress
    console.print(f"{job.id}  {job.name}", markup=False)
    if job.unreadable:
        console.print(f"  this release cannot read what was asked for: {job.unreadable}", markup=False)
    else:
        console.print(f"  job     {job.title}", markup=False)
    for line in [*size_lines(job.spec), *plan_lines(job.spec)]:
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"  state   {job.state}{': ' + job.reason if job.reason else ''}", markup=False)
    if job.data_gone:
        console.print(f"  data    {job.data_gone}", markup=False)
    most = "" if job.state == "completed" else "at most "
    console.print(f"  rounds  {done.rounds_done} of {most}{done.rounds_total}")
    console.print(f"  trials  {done.trials_done} of {most}{done.trials_total}")
    console.print(f"  epochs  {done.epochs_done} of {most}{done.epochs_total}" + _left(done.eta_s))
    console.print(f"  created {job.created_at:%Y-%m-%d %H:%M:%S} UTC")


def size_lines(spec: Mapping[str, Any]) -> list[str]:
    """The sizes of a job that leaves some to its data; of other jobs nothing."""
    sizes = (spec.get("data") or {}).get("sizes") or {}
    if sizes.get("n_test") is None and sizes.get("open"):
        return [f"  sizes   {', '.join(sizes['open'])}: to be proposed before the first round"]
    return [f"  {'sizes' if i == 0 else '':8}{reason}" for i, reason in enumerate(sizes.get("reasons", ()))]


def plan_lines(spec: Mapping[str, Any]) -> list[str]:
    """The plan of a job that leaves it to its machine, and what it does without; of other jobs nothing."""
    plan = spec.get("plan") or {}
    if not plan.get("auto"):
        return []
    chosen = plan.get("chosen")
    if chosen is None:
        return ["  plan    to be measured before the first round"]
    asked, took = chosen["own_job_s"], chosen["job_s"]
    gain = ""
    if asked and took:
        gain = f", {asked / took:.1f} times as fast as asked for" if asked > took else ", as asked for"
    words = f"{plan['population']} trials together, {plan['dtype']}, {plan['step']} step; measured on {chosen['place']}"
    return [f"  plan    {words}{gain}", *(f"          without {reason}" for reason in chosen["fallbacks"])]


def _left(eta_s: float | None) -> str:
    return "" if eta_s is None else f", about {eta_s:.0f} s left"


def jobs_table(jobs: Sequence[Job]) -> Table:
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


def problem_lines(detail: str, errors: Sequence[Mapping[str, object]]) -> list[str]:
    """A refusal for people: the request, then each field with its value and the allowed ones."""
    return [detail, *(f"  {e['field']} = {e['value']!r}: {e['allowed']}" for e in errors)]


def part_lines(parts: Sequence[Listed], *, with_settings: bool) -> Iterator[str]:
    """Names a job may use for people: what each is, who brought it, and its settings; or why it is broken."""
    width = max((len(one.name) for one in parts), default=0) + 2
    for one in parts:
        origin = f" ({one.package} {one.version})" if one.package != "s2e" else ""
        notes = f" [{'; '.join(one.notes)}]" if one.notes else ""
        said = f"BROKEN{origin}: {one.broken}" if one.broken else f"{one.summary}{notes}{origin}"
        yield f"{one.name:<{width}}{said}"
        for setting in one.settings if with_settings else ():
            yield f"    {setting.name} = {setting.default!r} ({setting.allowed}): {setting.doc}"


def watch(client: S2EClient, job_id: str, console: Console | None = None) -> Job:
    """Follow a job to its end under a progress bar; the job as it ended. What was before is read once, not replayed."""
    from s2e.progress import JobProgress

    job = client.job(job_id)
    progress = job.progress
    n_epochs = progress.epochs_total // max(1, progress.trials_total)
    console = console or Console(highlight=False)
    with JobProgress(console, progress.rounds_total, progress.trials_total, n_epochs) as live:
        for trial in client.trials(job_id):
            if trial.state in TRIAL_ENDED:
                live.ended(trial.id, trial.label, trial.share, trial.validation_accuracy)
        for round_ in list(client.rounds(job_id))[-1:]:
            live.round(round_.round, round_.kind)
        for event in client.events(job_id, job.last_event_id):
            _show_event(live, event)
    return client.job(job_id)


def _show_event(live: JobProgress, event: JobEvent) -> None:
    data: dict[str, Any] = event.data
    if event.kind == "round":
        live.round(data["round"], data["kind"])
    elif event.kind == "epochs":
        for trial in data["trials"]:
            live.epoch(trial["id"], data["epoch"])
    elif event.kind == "trial" and data["state"] in TRIAL_ENDED:
        live.ended(data["id"], data["label"], data.get("share", 1.0), data["validation_accuracy"])
    elif event.kind == "job" and data["reason"]:
        live.say(f"{data['state']}: {data['reason']}")


def log_line(line: LogLine) -> str:
    """One line of a log as plain text."""
    tried = f"attempt {line.attempt} " if line.attempt else f"trial {line.trial_id} " if line.trial_id else ""
    return f"{line.at:%Y-%m-%d %H:%M:%S} {tried}{line.level} {line.source}: {line.text}"
