"""Options that several commands share, and exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from s2e.client.http import S2EClient

FAILED, BAD_INPUT, REFUSED, UNREACHABLE, INTERRUPTED = 1, 2, 3, 4, 130
Url = Annotated[str, typer.Option("--url", envvar="S2E_URL", help="Address of the service.")]
Key = Annotated[str | None, typer.Option("--key", envvar="S2E_API_KEY", help="API key, where the service has one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, as 's2e jobs' shows it.")]
JobFile = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A job as TOML (or .json); see examples/.")
]
DataRoot = Annotated[
    Path | None, typer.Option(envvar="S2E_DATA_ROOT", help="Folder of the data sets; digits needs none.")
]


class NotReadyError(Exception):
    """A command cannot do its work now; the message says how to fix it."""


def service_at(url: str, key: str | None) -> S2EClient:
    """A client of the service, to be used as a context."""
    from s2e.client.http import S2EClient

    return S2EClient(url, key)


def print_json(answer: object) -> None:
    """An answer, or several, as JSON."""
    import json

    from s2e.words import to_json

    typer.echo(json.dumps(to_json(answer), indent=1))


def out() -> Console:
    """Standard output, as it is now."""
    from rich.console import Console

    return Console(highlight=False)


def plain(*cells: object) -> Iterator[str]:
    """Cells of a table as they are, brackets and all."""
    from rich.markup import escape

    return (escape(str(cell)) for cell in cells)


def note(text: object, console: Console) -> None:
    """A line of something to know."""
    console.print(f"[yellow]note[/] {next(plain(text))}", soft_wrap=True)


def progress_bar() -> Progress:
    """A bar on standard error, so that --json can be piped; gone when the work is done."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
