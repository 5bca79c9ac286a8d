"""The command line: ``s2e``. Talks to a service, starts one, or searches without one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from s2e.client.errors import ApiError, ClientError, InvalidSpec
from s2e.client.http import DEFAULT_URL, S2EClient
from s2e.parts import KINDS, REGISTRIES, Listed, listing
from s2e.words import S2EError, SpecError, to_json
from service.api.auth import ExposedWithoutKeyError
from service.cli import data as cli_data
from service.cli import service as cli_service
from service.cli import terminal
from service.cli.jobfile import read_file, read_job
from service.cli.reports import draw_report, fetch_report

FAILED, BAD_INPUT, REFUSED, UNREACHABLE, INTERRUPTED = 1, 2, 3, 4, 130
_HELP = """
Search the keep-rate schedule R(t) for learning with noisy labels.

[bold]With a service[/bold] (start one in another terminal: [cyan]s2e serve[/cyan])

  s2e submit examples/digits.toml --watch   submit a job and watch it to its end
  s2e jobs                                  list jobs
  s2e report ID                             the recommended schedule and the comparison

[bold]Without one[/bold]

  s2e search examples/digits.toml           the same search in this process

Exit codes: 0 done, 1 the job failed or was cancelled, 2 bad input, 3 refused by the service, 4 no service answers.
"""
app = typer.Typer(
    name="s2e",
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
cli_service.register(app)
cli_data.register(app)

Url = Annotated[str, typer.Option("--url", envvar="S2E_URL", help="Address of the service.")]
Key = Annotated[str | None, typer.Option("--key", envvar="S2E_API_KEY", help="API key, where the service has one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, as 's2e jobs' shows it.")]
JobFile = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A job as TOML (or .json); see examples/.")
]


def out() -> Console:
    """Standard output, as it is now."""
    return Console(highlight=False)


@app.command(rich_help_panel="Jobs")
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
    body = read_file(file)
    with S2EClient(url, key) as client:
        job = client.submit(body)
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
    draw_report(fetch_report(client, job_id), console=console)
    console.print(f"On the dashboard: {client.url}/jobs/{job_id}", soft_wrap=True)
    return 0


@app.command(rich_help_panel="Jobs")
def jobs(
    state: Annotated[str | None, typer.Option(help="Only jobs in this state, such as running or completed.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """List jobs, newest first."""
    with S2EClient(url, key) as client:
        found = list(client.jobs(state))
    if as_json:
        typer.echo(json.dumps([job.model_dump(mode="json") for job in found], indent=1))
    else:
        out().print(terminal.jobs_table(found))


@app.command(rich_help_panel="Jobs")
def show(job_id: JobId, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Show a job: its state, its progress, and the schedule recommended so far."""
    with S2EClient(url, key) as client:
        job = client.job(job_id)
        schedule = client.schedule(job_id) if KINDS[job.spec["kind"]].recommends else None
    if as_json:
        typer.echo(job.model_dump_json(indent=1))
        return
    console = out()
    terminal.show_job(console, job)
    if schedule is None:
        return
    title = (
        "no trial has succeeded yet; the default schedule" if schedule.label == "default" else "recommended schedule"
    )
    console.print(f"\n{title}{', provisional' if schedule.provisional else ''}")
    terminal.print_plot(console, schedule.keep_rate)


@app.command(rich_help_panel="Jobs")
def watch(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Follow a job to its end and print its report."""
    with S2EClient(url, key) as client:
        raise typer.Exit(_watch(client, job_id))


@app.command(rich_help_panel="Jobs")
def report(job_id: JobId, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Print what a job ended with: the recommended R(t), the comparison on the same seeds, the files."""
    with S2EClient(url, key) as client:
        found = fetch_report(client, job_id)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        draw_report(found, console=out())


@app.command(rich_help_panel="Jobs")
def cancel(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """End a job. What it has found stays."""
    _say_state("cancel", job_id, url, key)


@app.command(rich_help_panel="Jobs")
def pause(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Start nothing more of a job; what trains goes on to its end."""
    _say_state("pause", job_id, url, key)


@app.command(rich_help_panel="Jobs")
def resume(job_id: JobId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Go on with a paused job."""
    _say_state("resume", job_id, url, key)


def _say_state(verb: str, job_id: str, url: str, key: str | None) -> None:
    with S2EClient(url, key) as client:
        verbs = {"cancel": client.cancel, "pause": client.pause, "resume": client.resume}
        typer.echo(verbs[verb](job_id).state)


@app.command(rich_help_panel="Without a service")
def search(
    file: JobFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for models and results.")] = Path("s2e-output"),
    data_root: Annotated[
        Path | None, typer.Option(envvar="S2E_DATA_ROOT", help="Folder of the data sets; digits needs none.")
    ] = None,
) -> None:
    """Run a whole search or comparison in this process; the same job and seed give the same numbers as on the service.

    Example: s2e search examples/digits.toml --output results
    """
    from service.cli.local_search import run_with_progress  # torch is imported by what this starts

    spec = read_job(file)
    console = out()
    draw_report(run_with_progress(spec, output, data_root, console), output, console)


@app.command("list", rich_help_panel="Without a service")
def list_names(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help=f"One of {', '.join(REGISTRIES)}.")] = None,
) -> None:
    """List the names a job may use, and what is installed and broken. With a KIND, every setting of each name too.

    Example: s2e list methods shows every hyperparameter with its default and range.
    """
    if kind is not None and kind not in REGISTRIES:
        raise typer.BadParameter(f"{kind!r}; one of {', '.join(REGISTRIES)}")
    for table, names in listing(kind).items():
        typer.echo(table)
        for one in names:
            _print_listed(one, with_settings=kind is not None)


def _print_listed(one: Listed, *, with_settings: bool) -> None:
    origin = f" ({one.package} {one.version})" if one.package != "s2e" else ""
    if one.broken:
        typer.echo(f"  {one.name:<16}BROKEN{origin}: {one.broken}")
        return
    typer.echo(f"  {one.name:<16}{one.summary}{origin}")
    if with_settings:
        for line in terminal.setting_lines(one.settings):
            typer.echo(f"      {line}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; refusals are printed with field, value and what is allowed, never as a traceback."""
    try:
        app(list(sys.argv[1:] if arguments is None else arguments))
    except (SpecError, InvalidSpec) as error:
        _fail(terminal.problem_lines("the job was refused", [to_json(p) for p in error.problems]), BAD_INPUT)
    except ApiError as error:
        _fail(terminal.problem_lines(error.detail, [to_json(p) for p in error.problems]), REFUSED)
    except ClientError as error:
        _fail([str(error)], UNREACHABLE)
    except ValidationError as error:
        _fail([f"S2E_{e['loc'][0]}".upper() + f": {e['msg']}" for e in error.errors() if e["loc"]], BAD_INPUT)
    except (ExposedWithoutKeyError, cli_service.NotReadyError) as error:
        _fail([str(error)], BAD_INPUT)
    except S2EError as error:
        _fail([str(error)], FAILED)


def _fail(lines: Sequence[str], code: int) -> None:
    for line in lines:
        typer.echo(line, err=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
