"""The commands that talk to a service: submit a job, follow it, take its results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2e.address import DEFAULT_URL
from service.cli.options import FAILED, INTERRUPTED, AsJson, JobFile, JobId, Key, Url, out, print_json, service_at

if TYPE_CHECKING:
    from rich.console import Console

    from s2e.client.http import S2EClient

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
    from s2e.jobfile import read_job_file

    data = read_job_file(file)
    with service_at(url, key) as client:
        job = client.submit(data)
        typer.echo(job.id)
        if watch:
            raise typer.Exit(_watch(client, job.id))
        out().print(f"watch it: {url}/jobs/{job.id}", soft_wrap=True)


def _watch(client: S2EClient, job_id: str) -> int:
    """Follow a job to its end and print its report; the exit code."""
    from service.cli import terminal

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
    from service.cli import terminal
    from service.cli.reports import draw_report, models_of

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
    with service_at(url, key) as client:
        listed = list(client.jobs(state))
    if as_json:
        print_json(listed)
    else:
        from service.cli.terminal import jobs_table

        out().print(jobs_table(listed))


def show(job_id: JobId, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Show a job: its state, its progress, and the schedule recommended so far."""
    with service_at(url, key) as client:
        job = client.job(job_id)
        schedule = client.schedule(job_id) if job.recommends else None
    if as_json:
        print_json(job)
        return
    from service.cli import terminal

    console = out()
    terminal.show_job(console, job)
    if schedule is None or not schedule.keep_rate:
        return
    title = (
        "no trial has succeeded yet; the default schedule" if schedule.label == "default" else "recommended schedule"
    )
    console.print(f"\n{title}{', provisional' if schedule.provisional else ''}")
    terminal.print_plot(console, schedule.keep_rate)


def watch(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Follow a job to its end and print its report."""
    with service_at(url, key) as client:
        raise typer.Exit(_watch(client, job_id))


def logs(
    of: Annotated[str, typer.Argument(metavar="ID", help="A trial's id, or a job's.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Print the log of a trial: what its trainers logged, and why a try ended. Of a job: states and losses."""
    from s2e.client.errors import NotFound
    from service.cli.terminal import log_line

    with service_at(url, key) as client:
        try:
            lines = list(client.logs(of))
        except NotFound:
            lines = list(client.job_logs(of))
    if as_json:
        print_json(lines)
        return
    for line in lines:
        typer.echo(log_line(line))


def report(
    job_id: JobId,
    as_json: AsJson = False,
    save: Annotated[
        Path | None, typer.Option(file_okay=False, help="Write the report, the schedule and the models to this folder.")
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Print the report of a job: the recommended R(t) and the comparison on the same seeds. --save fetches files."""
    with service_at(url, key) as client:
        if as_json:
            print_json(client.any_report(job_id))
        elif save is None:
            print_report(client, job_id, out())
        if save is not None:
            _save(client, job_id, save, quiet=as_json)


def _save(client: S2EClient, job_id: str, folder: Path, *, quiet: bool) -> None:
    """Fetch a report's files, and say where they are unless only JSON is to be printed."""
    from service.cli.saving import save_report
    from service.cli.terminal import print_places

    saved = save_report(client, job_id, folder)
    if not quiet:
        print_places(out(), saved)


def model(
    trial_id: Annotated[str, typer.Argument(metavar="TRIAL", help="The trial's id, as 's2e report' shows it.")],
    folder: Annotated[Path, typer.Option("--output", "-o", file_okay=False, help="Folder to write to.")] = Path(),
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Fetch the trained networks of a trial, and what they are; s2e.load_model(path) gives a plain torch module."""
    with service_at(url, key) as client:
        typer.echo(client.save_model(trial_id, folder))


def cancel(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """End a job. Its results so far are kept."""
    with service_at(url, key) as client:
        typer.echo(client.cancel(job_id).state)


def pause(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Pause a job: its trainings stop at their next epoch, and go on from there when it is resumed."""
    with service_at(url, key) as client:
        typer.echo(client.pause(job_id).state)


def resume(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Go on with a paused job."""
    with service_at(url, key) as client:
        typer.echo(client.resume(job_id).state)


def retry(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Try a failed job again. Trials that succeeded are kept; only the others are trained."""
    with service_at(url, key) as client:
        typer.echo(client.retry(job_id).state)


def priority(
    job_id: JobId,
    value: Annotated[int, typer.Argument(min=-100, max=100, help="The highest has places first.")],
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Give a job another priority among those of its owner. (For a negative one: s2e priority ID -- -5)"""
    with service_at(url, key) as client:
        typer.echo(client.change(job_id, value).priority)


def delete(
    job_id: JobId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Delete a job that has ended: its rows, curves and models. Nothing brings them back."""
    with service_at(url, key) as client:
        job = client.job(job_id)
        if not yes:
            typer.confirm(f"Delete {job.name or 'the unnamed job'} ({job.state}) and all its files?", abort=True)
        client.delete(job_id)
        typer.echo("deleted")
