"""Options that several commands share, and exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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


def out() -> Console:
    """Standard output, as it is now."""
    return Console(highlight=False)
