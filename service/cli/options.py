"""Options that several commands share, and exit codes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from s2e.client.http import S2EClient

FAILED, BAD_INPUT, REFUSED, UNREACHABLE, INTERRUPTED = 1, 2, 3, 4, 130
_ASKED = re.compile(r"""data\.params\.(\w+) = (\[.*?\]|'.*?'|".*?"|\w+)""")
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


Settings = Annotated[
    list[str] | None, typer.Option("--set", help="A setting of the kind, such as label=species; again for more.")
]


class NotReadyError(Exception):
    """A command cannot do its work now; the message says how to fix it."""


def service_at(url: str, key: str | None) -> S2EClient:
    """A client of the service, to be used as a context."""
    from s2e.client.http import S2EClient

    return S2EClient(url, key)


def print_json(answer: object) -> None:
    """An answer, or several, as JSON."""
    from s2e.words import to_json

    typer.echo(json.dumps(to_json(answer), indent=1))


def settings_of(given: Sequence[str] | None, kind: str) -> dict[str, Any]:
    """Settings of a kind of data such as ``size=64``: a number, a list or true where it reads as JSON, else text, or
    names (``exclude=a,b``) where the kind has a list of them. Raises SpecError."""
    from s2e.words import Problem, SpecError

    settings = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SpecError(Problem("--set", text[:80], "name=value, such as label=species"))
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value.split(",") if _holds_names(kind, name) else value
    return settings


def _holds_names(kind: str, name: str) -> bool:
    """True if the setting of a kind that is known here is a list of names."""
    from s2e.parts import DATASETS

    holders = DATASETS[kind].__mro__ if kind in DATASETS else ()
    return any(vars(one).get("__annotations__", {}).get(name) == "tuple[str, ...]" for one in holders)


def as_options(refusal: str) -> str:
    """A refusal of data with the settings it speaks of (``data.params.exclude = ['a']``) as options of a command."""
    return _ASKED.sub(_as_option, refusal)


def _as_option(asked: re.Match[str]) -> str:
    names = re.findall(r"""['"](.*?)['"]""", asked[2]) or [asked[2]]
    listed = ",".join(names) if "," not in "".join(names) else json.dumps(names)
    return f"--set {shlex.quote(f'{asked[1]}={listed}')}"


def out() -> Console:
    """Standard output, as it is now."""
    from rich.console import Console

    return Console(highlight=False)


def progress_bar() -> Progress:
    """A bar on standard error, so that --json can be piped; gone when the work is done."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
