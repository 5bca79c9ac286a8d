"""The commands that need no service: search, list, estimate-noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2e.local import run, spec_of
from s2e.parts import REGISTRIES, listing
from service.cli import terminal
from service.cli.options import DataRoot, JobFile, out
from service.cli.reports import draw_report, report_files

_PANEL = "Without a service"


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(rich_help_panel=_PANEL)(search)
    app.command("list", rich_help_panel=_PANEL)(list_names)


def search(
    file: JobFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for models and results.")] = Path("s2e-output"),
    data_root: DataRoot = None,
) -> None:
    """Run a whole search or comparison in this process; the same job and seed give the same numbers as on the service.

    Example: s2e search examples/digits.toml --output results
    """
    spec = spec_of(file)
    _, report = run(spec, data_root=data_root, output=output)
    console = out()
    draw_report(report, console)
    console.print()
    terminal.print_places(console, report_files(report, spec.kind, output))


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
        for line in terminal.part_lines(names, with_settings=kind is not None):
            typer.echo(f"  {line}")
