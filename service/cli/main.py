"""The command line: ``s2e``. Talks to a service, starts one, or searches without one.

Every command imports its own libraries, so the base installation has them all; one that misses an extra says which.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from s2e import __version__
from s2e.client.errors import ApiError, ClientError, InvalidSpec
from s2e.words import MissingExtraError, S2EError, SpecError, to_json
from service.api.auth import ExposedWithoutKeyError
from service.cli import audit, data, datasets, db, export, hooks, jobs, keys, local, service, terminal
from service.cli.options import BAD_INPUT, FAILED, REFUSED, UNREACHABLE, NotReadyError

_HELP = """
Search the keep-rate schedule R(t) for learning with noisy labels.

[bold]With a service[/bold] (start one in another terminal: [cyan]s2e serve[/cyan])

  s2e submit examples/digits.toml --watch   submit a job and watch it to its end
  s2e jobs                                  list jobs
  s2e report ID                             the recommended schedule and the comparison
  s2e audit ID                              which of your labels are likely wrong

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
for group in (jobs, audit, export, local, data, datasets, service, db, keys, hooks):
    group.register(app)


def _print_version(asked: bool) -> None:
    if asked:
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
    try:
        app(list(sys.argv[1:] if arguments is None else arguments))
    except (SpecError, InvalidSpec) as error:
        _fail(terminal.problem_lines("refused:", [to_json(p) for p in error.problems]), BAD_INPUT)
    except ApiError as error:
        _fail(terminal.problem_lines(error.detail, [to_json(p) for p in error.problems]), REFUSED)
    except ClientError as error:
        _fail([str(error)], UNREACHABLE)
    except (ExposedWithoutKeyError, NotReadyError, MissingExtraError) as error:
        _fail([str(error)], BAD_INPUT)
    except S2EError as error:
        _fail([str(error)], FAILED)


def _fail(lines: Sequence[str], code: int) -> None:
    for line in lines:
        typer.echo(line, err=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
