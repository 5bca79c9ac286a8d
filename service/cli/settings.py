"""Settings of a kind of data on the command line: ``--set size=64``, and errors that speak of them so."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Annotated, Any

import typer

_ASKED = re.compile(r"""data\.params\.(\w+) = (\[.*?\]|'.*?'|".*?"|\w+)""")
"""A setting in words."""
_KIND, _HEADER = re.compile(r"data\.name = '(\w+)'"), re.compile(r"\bsay header = (true|false)")
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="A setting of the kind, such as label=species; again for more.")
]
Label = Annotated[str | None, typer.Option(help="Column with the labels, of a table.")]
IdColumn = Annotated[str | None, typer.Option(help="Column of a table that names each row.")]


def settings_of(given: Sequence[str] | None, kind: str, **by_option: str | None) -> dict[str, Any]:
    """The settings of a kind: see :func:`_setting`; and those that have an option of their own, where it was given.
    Raises SpecError."""
    return dict(_setting(one, kind) for one in given or ()) | {
        name: value for name, value in by_option.items() if value is not None
    }


def in_options(text: str) -> str:
    """The text of an error with the options for such as ``data.params.exclude = ['a']``."""
    return _HEADER.sub(r"say --set header=\1", _KIND.sub(r"--kind \1", _ASKED.sub(_as_option, text)))


def _setting(text: str, kind: str) -> tuple[str, Any]:
    """``size=64``: a number, a list or true where it reads as JSON, else text; ``exclude=a,b`` for a list of names."""
    from s2e.words import Problem, SpecError

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise SpecError(Problem("--set", text[:80], "name=value, such as label=species"))
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value.split(",") if _holds_names(kind, name) else value


def _holds_names(kind: str, name: str) -> bool:
    """True if the setting of a kind that is known here is a list of names."""
    from s2e.parts import DATASETS

    holders = DATASETS[kind].__mro__ if kind in DATASETS else ()
    return any(vars(one).get("__annotations__", {}).get(name) == "tuple[str, ...]" for one in holders)


def _as_option(asked: re.Match[str]) -> str:
    names = re.findall(r"""['"](.*?)['"]""", asked[2]) or [asked[2]]
    listed = ",".join(names) if "," not in "".join(names) else json.dumps(names)
    return f"--set {shlex.quote(f'{asked[1]}={listed}')}"
