"""The commands about registered data sets: data add, data show, data remove, data list."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from s2e.address import DEFAULT_URL
from s2e.data.root import DATA_ROOT_VARIABLE
from s2e.words import Problem, S2EError, SpecError, replace, to_json
from s2e.words.datasets import RegisteredSet
from service.cli.options import AsJson, Key, Url, note, out, plain, service_at
from service.cli.settings import IdColumn, Label, Settings, in_options, settings_of

if TYPE_CHECKING:
    from s2e.client.http import S2EClient

MOST_CLASSES = 20
"""Classes that are printed; --json has all."""
app = typer.Typer()


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Its name: jobs say data.registered = NAME.")],
    path: Annotated[
        str, typer.Argument(help="File or folder: below the service's data root as it is, any other is sent.")
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            help="What reads it: table, images, image_table, text, embeddings, arrays, csv. Else as it looks."
        ),
    ] = None,
    label: Label = None,
    setting: Settings = None,
    id_column: IdColumn = None,
    trusted_column: Annotated[str | None, typer.Option(help="Column that says which labels are right.")] = None,
    trusted_path: Annotated[str | None, typer.Option(help="A second source, all of whose labels are right.")] = None,
    upload: Annotated[
        bool | None, typer.Option("--upload/--no-upload", help="Send it, or not; else decided by where it is.")
    ] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Check data, fingerprint them and register them by name; prints a preview and the proposed settings.

    Examples: s2e data add patients patients.csv --label diagnosis, s2e data add flowers ~/flowers --set size=64
    """
    kind = kind or _kind_of(path)
    settings = settings_of(setting, kind, label=label, id_column=id_column)
    with _refused_in_options(), service_at(url, key) as client, _sent_or_nothing(client) as sent:
        paths = [_place(client, one, upload, sent) for one in (path, trusted_path) if one is not None]
        trusted = {"column": trusted_column, "path": paths[1] if trusted_path is not None else None}
        trusted = {field: value for field, value in trusted.items() if value is not None}
        section = {_section_of(kind): {"path": paths[0], **settings}}
        kept = client.register(name, kind, **section, trusted=trusted)
    _print(kept, as_json)


def _kind_of(path: str) -> str:
    """The kind that files here look like; table for a path that only the service may know."""
    from s2e.own_files import kind_of

    return kind_of(path) if Path(path).expanduser().exists() else "table"


@contextmanager
def _sent_or_nothing(client: S2EClient) -> Iterator[list[str]]:
    """Paths of files that are sent; they are deleted again where no set comes of them."""
    from s2e.client.errors import ClientError

    sent: list[str] = []
    try:
        yield sent
    except Exception:
        for path in sent:
            with suppress(S2EError, ClientError):  # the first error is the one to read
                client.remove_upload(path)
        raise


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="As 's2e data list' shows it.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Show a registered data set: classes, counts, shape, duplicates, missing cells, and the proposed settings."""
    with service_at(url, key) as client:
        _print(client.dataset(name), as_json)


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="As 's2e data list' shows it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Forget a registered data set, and delete the files that were sent for it; files below the data root stay."""
    with service_at(url, key) as client:
        kept = client.dataset(name)
        if not yes:
            typer.confirm(f"Remove {name}, which {len(kept.jobs)} of the newest jobs name?", abort=True)
        client.remove_dataset(name)
        typer.echo("removed")


@app.command("list")
def list_(as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """List registered data sets."""
    with service_at(url, key) as client:
        kept = [one for one in client.datasets() if one.registered]
    if as_json:
        typer.echo(json.dumps(to_json(kept), indent=1))
        return
    for one in kept:
        typer.echo(f"{one.name}  {one.summary}")
    if not kept:
        typer.echo("no data set is registered; s2e data add NAME PATH registers one", err=True)


@contextmanager
def _refused_in_options() -> Iterator[None]:
    """Refusals say how this command sets what they ask for."""
    from s2e.client.errors import InvalidSpec

    try:
        yield
    except InvalidSpec as error:
        said = [replace(one, allowed=in_options(one.allowed)) for one in error.problems]
        raise SpecError(*said) from error


def _section_of(kind: str) -> str:
    """The section of ``data`` with the settings of a kind; of one that only the service has, ``params``."""
    from s2e.parts import DATASETS, DatasetPart

    return DATASETS.get(kind, DatasetPart).own_section()


def _place(client: S2EClient, path: str, upload: bool | None, into: list[str]) -> str:
    """The path below the service's data root; what is elsewhere is sent first."""
    local, root = Path(path).expanduser(), os.environ.get(DATA_ROOT_VARIABLE)
    if upload is not True:
        if root is not None and local.exists() and local.resolve().is_relative_to(Path(root).resolve()):
            return local.resolve().relative_to(Path(root).resolve()).as_posix()
        if upload is False or not (local.exists() or local.is_absolute()):
            return path
    if not local.exists():
        allowed = "a file or folder that is here, to be sent, or a path below the service's data root"
        raise SpecError(Problem("PATH", path, allowed))
    sent = client.upload(local)
    into.append(sent.path)
    typer.echo(f"sent {sent.n_files} file{'s' * (sent.n_files != 1)}, {sent.n_bytes} bytes", err=True)
    return sent.path


def _print(kept: RegisteredSet, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(to_json(kept), indent=1))
        return
    seen, console = kept.preview, out()
    shape = " x ".join(map(str, seen["shape"]))
    console.print(f"{kept.name}: {kept.kind}, {seen['n_rows']} rows of {shape}, fingerprint {kept.fingerprint[:12]}")
    console.print(f"{seen['n_test']} rows test, {seen['n_train']} are left to train and to validate")
    _print_classes(seen, console)
    for words in _notes(seen):
        note(words, console)
    if seen["trusted"]:
        console.print(seen["trusted"])
    console.print("proposed, where a job does not say otherwise:")
    for reason in kept.proposed["reasons"]:
        console.print(f"  {reason}")
    console.print(f'a job names it by:  [data] registered = "{kept.name}"', markup=False)


def _print_classes(seen: dict[str, Any], console: Console) -> None:
    table = Table("class", "rows", box=None)
    for one in seen["classes"][:MOST_CLASSES]:
        table.add_row(*plain(one["name"], one["n_rows"]))
    console.print(table)
    if len(seen["classes"]) > MOST_CLASSES:
        console.print(f"... {len(seen['classes'])} classes in all")


def _notes(seen: dict[str, Any]) -> list[str]:
    """Whatever is odd about the data."""
    notes = []
    if seen["n_duplicates"]:
        n = seen["n_duplicates"]
        repeat = "row repeats" if n == 1 else "rows repeat"
        notes.append(f"{n} {repeat} an earlier one, {seen['n_disagreeing']} with another label")
    notes += [f"column {name}: {n} cells missing" for name, n in seen["missing"].items()]
    notes += seen.get("notes", ())
    if seen["n_skipped"]:
        files = "file" if seen["n_skipped"] == 1 else "files"
        notes.append(f"{seen['n_skipped']} {files} left out: {', '.join(seen['skipped'][:3])}")
    return notes
