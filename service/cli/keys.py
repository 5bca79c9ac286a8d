"""The commands about people: keys, and the audit log."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from s2e.address import DEFAULT_URL
from s2e.client.http import S2EClient
from s2e.words import to_json
from s2e.words.people import SCOPES
from service.cli.options import AsJson, Key, Url, out

_SCOPES = ", ".join(SCOPES)
app = typer.Typer()


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What the key is for, such as 'laptop' or 'nightly'.")],
    owner: Annotated[str, typer.Option(help="Whose it is: a person or a team.")],
    scope: Annotated[list[str] | None, typer.Option(help=f"One of {_SCOPES}; may be given again. [submit]")] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires; for ever unless given.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Make a key and print it. It is shown this once.

    Example: s2e keys create laptop --owner ada --scope submit --days 90
    """
    with S2EClient(url, key) as client:
        made = client.create_key(name, owner, tuple(scope or ("submit",)), days)
    if as_json:
        typer.echo(json.dumps(to_json(made), indent=1))
        return
    typer.echo(made.secret)
    typer.echo(f"key {made.id} of {made.owner} ({', '.join(made.scopes)}); it is not shown again", err=True)


@app.command("list")
def list_(as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """List every key: whose, what for, what it may, and when it was last used."""
    with S2EClient(url, key) as client:
        listed = client.all_keys()
    if as_json:
        typer.echo(json.dumps(to_json(listed), indent=1))
        return
    table = Table("id", "owner", "name", "scopes", "state", "expires", "last used", box=None)
    for one in listed:
        times = [f"{at:%Y-%m-%d %H:%M}" if at else "never" for at in (one.expires_at, one.last_used_at)]
        table.add_row(one.id, one.owner, one.name, " ".join(one.scopes), one.state, *times)
    out().print(table)


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as 's2e keys list' shows it.")],
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """End a key. Whoever uses it is refused within seconds."""
    with S2EClient(url, key) as client:
        typer.echo(client.revoke_key(key_id).state)


@app.command("whoami")
def whoami(as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Say whose key this is, what it may do, and how much of the quotas is used."""
    with S2EClient(url, key) as client:
        me = client.me()
    if as_json:
        typer.echo(json.dumps(to_json(me), indent=1))
        return
    typer.echo(f"{me.owner or 'nobody in particular (the service has no keys)'}: {', '.join(me.scopes)}")
    for name, n, most in (
        ("open jobs", me.jobs_open, me.jobs_open_most),
        ("trials under way", me.trials_under_way, me.trials_under_way_most),
    ):
        typer.echo(f"{name}: {n}{f' of {most}' if most else ''}")


@app.command("audit")
def audit(
    owner: Annotated[str | None, typer.Option(help="Only what this owner did.")] = None,
    target: Annotated[str | None, typer.Option(help="Only what was done to this job, trial or key.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Most entries to print.")] = 50,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Print who changed what, newest first.

    Example: s2e keys audit --owner ada
    """
    with S2EClient(url, key) as client:
        for entry, _ in zip(client.audit(owner, target), range(most), strict=False):
            who = entry.owner or "-"
            typer.echo(f"{entry.at:%Y-%m-%d %H:%M:%S}  {who:<16} {entry.action:<14} {entry.target}  {entry.address}")
