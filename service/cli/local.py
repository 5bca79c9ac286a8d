"""The commands that need no service: search, list, estimate-noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2e import catalog
from s2e.door.protocols import protocols
from s2e.local import run, spec_of
from s2e.words import CompareReport
from service.cli import terminal
from service.cli.options import DataRoot, JobFile, out
from service.cli.terminal_compare import print_comparison

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
    _, report = run(spec_of(file), data_root=data_root, output=output)
    console = out()
    if isinstance(report, CompareReport):
        print_comparison(report, console)
    else:
        terminal.print_report(report, console)
    console.print()
    terminal.print_places(console, terminal.report_files(report, output))


_TABLES = {
    "methods": catalog.METHODS,
    "networks": catalog.LISTED_NETWORKS,
    "datasets": catalog.DATASETS,
    "searchers": catalog.SEARCHERS,
    "spaces": catalog.SPACES,
}
_KINDS = (*_TABLES, "protocols")


def list_names(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help=f"One of {', '.join(_KINDS)}.")] = None,
) -> None:
    """List the names a job may use: methods, networks, datasets, searchers, spaces, protocols.

    Example: s2e list methods shows every hyperparameter with its default and range.
    """
    if kind is not None and kind not in _KINDS:
        raise typer.BadParameter(f"{kind!r}; one of {', '.join(_KINDS)}")
    for table in [kind] if kind else _KINDS:
        typer.echo(table)
        for name, entry in (protocols() if table == "protocols" else _TABLES[table]).items():
            typer.echo(f"  {name:<16}{entry.summary}")
            if kind == "methods":
                for line in terminal.param_lines(catalog.params_of(name)):
                    typer.echo(f"      {line}")
