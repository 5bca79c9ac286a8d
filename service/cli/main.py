"""The command line: ``s2e``. Talks to a service, starts one, or searches without one.

A command's module declares its arguments and imports the rest when the command runs: ``s2e --help`` pays for none of
them, and a command that misses an extra says which.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from s2e import __version__
from s2e.startup import start_quickly
from service.cli import audit, data, fit, jobs, local, service
from service.cli.late import late_group

_HELP = """
Learn with noisy labels: find the wrong ones, train in spite of them, and search the keep-rate schedule R(t).

[bold]Your own labels[/bold]

  s2e fit table.csv --label species         a model, and the labels that look wrong
  s2e predict s2e-fit/model.safetensors new.csv

[bold]With a service[/bold] (start one in another terminal: [cyan]s2e serve[/cyan])

  s2e submit examples/digits.toml --watch   submit a job and watch it to its end
  s2e jobs                                  list jobs
  s2e report ID                             the recommended schedule and the comparison
  s2e audit ID                              which of your labels are likely wrong

[bold]Without one[/bold]

  s2e search examples/digits.toml           the same search, on all cores

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
_GROUPS = {
    "Jobs": {
        "export": ("service.cli.export", "Take a trained network away."),
        "data": ("service.cli.datasets", "Register data sets of your own, list them, look at one."),
        "webhooks": ("service.cli.hooks", "Let other programs be told when a job changes."),
    },
    "The service": {
        "db": ("service.cli.db", "Copy the database, or back it up."),
        "keys": ("service.cli.keys", "Make, list and revoke API keys (needs a key with the scope admin)."),
    },
}
for module in (fit, jobs, audit, local, data, service):
    module.register(app)
for panel, groups in _GROUPS.items():
    for name, (place, summary) in groups.items():
        app.add_typer(late_group(place, summary), name=name, rich_help_panel=panel)


def _print_version(asked: bool) -> None:
    if asked:
        import platform

        typer.echo(f"s2e {__version__}, Python {platform.python_version()}, {platform.platform()}")
        raise typer.Exit


@app.callback()
def s2e(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; refusals are printed with field, value and what is allowed, never as a traceback."""
    if arguments is None:
        start_quickly()
    try:
        app(list(sys.argv[1:] if arguments is None else arguments))
    except Exception as error:
        from service.cli.refusals import refusal_of

        refusal = refusal_of(error)
        if refusal is None:
            raise
        for line in refusal.lines:
            typer.echo(line, err=True)
        raise SystemExit(refusal.code) from None


if __name__ == "__main__":
    main()
