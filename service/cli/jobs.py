"""The commands that talk to a service: submit a job, follow it, take its results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from s2e.client.errors import NotFound
from s2e.client.http import DEFAULT_URL, S2EClient
from s2e.jobfile import read_job_file
from s2e.parts import KINDS
from s2e.words import to_json
from s2e.words.answers import Job
from service.cli import terminal
from service.cli.options import FAILED, INTERRUPTED, AsJson, JobFile, JobId, Key, Url, out
from service.cli.reports import draw_report, models_of
from service.cli.saving import save_report

_PANEL = "Jobs"


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for function in (submit, jobs, show, watch, logs, report, model, cancel, pause, resume, retry, priority, delete):
        app.command(rich_help_panel=_PANEL)(function)


def submit(
    file: JobFile,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow the job to its end and print the report.")
    ] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Submit a job file. Prints the job's id.

    Example: s2e submit examples/digits.toml --watch
    """
    data = read_job_file(file)
    with S2EClient(url, key) as client:
        job = client.submit(data)
        typer.echo(job.id)
        if watch:
            raise typer.Exit(_watch(client, job.id))
        out().print(f"watch it: {url}/jobs/{job.id}", soft_wrap=True)


def _watch(client: S2EClient, job_id: str) -> int:
    """Follow a job to its end and print its report; the exit code."""
    console = out()
    try:
        job = terminal.watch(client, job_id, console)
    except KeyboardInterrupt:
        console.print(f"\nThe job goes on. s2e watch {job_id}; s2e cancel {job_id}", soft_wrap=True)
        return INTERRUPTED
    if job.state != "completed":
        console.print(f"the job ended as {job.state}: {job.reason}", markup=False)
        return FAILED
    print_report(client, job_id, console)
    console.print(f"On the dashboard: {client.url}/jobs/{job_id}", soft_wrap=True)
    return 0


def print_report(client: S2EClient, job_id: str, console: Console) -> None:
    """The report of a job of either kind, and how to fetch the files it names."""
    report = client.any_report(job_id)
    draw_report(report, console)
    models = [(name, f"s2e model {report.models[path]}") for name, path in models_of(report) if path in report.models]
    console.print()
    terminal.print_places(console, [*models, ("all of it as files", f"s2e report {job_id} --save FOLDER")])


def jobs(
    state: Annotated[str | None, typer.Option(help="Only jobs in this state, such as running or completed.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """List jobs, newest first."""
    with S2EClient(url, key) as client:
        listed = list(client.jobs(state))
    if as_json:
        typer.echo(json.dumps(to_json(listed), indent=1))
    else:
        out().print(terminal.jobs_table(listed))


def show(job_id: JobId, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Show a job: its state, its progress, and the schedule recommended so far."""
    with S2EClient(url, key) as client:
        job = client.job(job_id)
        schedule = client.schedule(job_id) if _recommends(job) else None
    if as_json:
        typer.echo(json.dumps(to_json(job), indent=1))
        return
    console = out()
    terminal.show_job(console, job)
    if schedule is None or not schedule.keep_rate:
        return
    title = (
        "no trial has succeeded yet; the default schedule" if schedule.label == "default" else "recommended schedule"
    )
    console.print(f"\n{title}{', provisional' if schedule.provisional else ''}")
    terminal.print_plot(console, schedule.keep_rate)


def _recommends(job: Job) -> bool:
    """True if the job ends with a schedule; False for a kind that only another release knows."""
    kind = str(job.spec.get("kind"))
    return kind in KINDS and KINDS[kind].recommends


def watch(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Follow a job to its end and print its report."""
    with S2EClient(url, key) as client:
        raise typer.Exit(_watch(client, job_id))


def logs(
    of: Annotated[str, typer.Argument(metavar="ID", help="A trial's id, or a job's.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Print the log of a trial: what its trainers logged, and why a try ended. Of a job: states and losses."""
    with S2EClient(url, key) as client:
        try:
            lines = list(client.logs(of))
        except NotFound:
            lines = list(client.job_logs(of))
    if as_json:
        typer.echo(json.dumps(to_json(lines), indent=1))
        return
    for line in lines:
        typer.echo(terminal.log_line(line))


def report(
    job_id: JobId,
    as_json: AsJson = False,
    save: Annotated[
        Path | None, typer.Option(file_okay=False, help="Write the report, the schedule and the models to this folder.")
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Print what a job ended with: the recommended R(t) and the comparison on the same seeds. --save fetches files."""
    with S2EClient(url, key) as client:
        if as_json:
            typer.echo(json.dumps(to_json(client.any_report(job_id)), indent=1))
        elif save is None:
            print_report(client, job_id, out())
        if save is not None:
            saved = save_report(client, job_id, save)
            if not as_json:
                terminal.print_places(out(), saved)


def model(
    trial_id: Annotated[str, typer.Argument(metavar="TRIAL", help="The trial's id, as 's2e report' shows it.")],
    folder: Annotated[Path, typer.Option("--output", "-o", file_okay=False, help="Folder to write to.")] = Path(),
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Fetch the trained networks of a trial, and what they are; s2e.load_model(path) gives a plain torch module."""
    with S2EClient(url, key) as client:
        typer.echo(client.save_model(trial_id, folder))


def cancel(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """End a job. What it has found stays."""
    with S2EClient(url, key) as client:
        typer.echo(client.cancel(job_id).state)


def pause(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Start nothing more of a job; what trains stops at its next epoch, and goes on from there when it is resumed."""
    with S2EClient(url, key) as client:
        typer.echo(client.pause(job_id).state)


def resume(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Go on with a paused job."""
    with S2EClient(url, key) as client:
        typer.echo(client.resume(job_id).state)


def retry(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Try a failed job again. What ended well is kept; only what failed is trained."""
    with S2EClient(url, key) as client:
        typer.echo(client.retry(job_id).state)


def priority(
    job_id: JobId,
    value: Annotated[int, typer.Argument(min=-100, max=100, help="The highest has places first.")],
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Give a job another priority among those of its owner. (For a negative one: s2e priority ID -- -5)"""
    with S2EClient(url, key) as client:
        typer.echo(client.change(job_id, value).priority)


def delete(
    job_id: JobId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Delete a job that has ended: its rows, curves and models. Nothing brings them back."""
    with S2EClient(url, key) as client:
        job = client.job(job_id)
        if not yes:
            typer.confirm(f"Delete {job.name or 'the unnamed job'} ({job.state}) and all its files?", abort=True)
        client.delete(job_id)
        typer.echo("deleted")
