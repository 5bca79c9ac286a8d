"""The commands about webhooks."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from s2e.address import DEFAULT_URL
from s2e.client.http import S2EClient
from s2e.words import to_json
from s2e.words.hooks import HOOK_STATES
from service.cli.options import FAILED, AsJson, Key, Url

app = typer.Typer()
HookId = Annotated[str, typer.Argument(metavar="ID", help="The webhook's id, as 's2e webhooks list' shows it.")]


@app.command("add")
def add(
    address: Annotated[str, typer.Argument(metavar="URL", help="Where messages are posted to.")],
    state: Annotated[
        list[str] | None, typer.Option(help=f"A state to be told of; may be given again. [{', '.join(HOOK_STATES)}]")
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--everybody", help="Of all owners' jobs (needs the scope admin).")
    ] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Add a webhook, and print the secret that its messages are signed with. It is shown this once."""
    with S2EClient(url, key) as client:
        made = client.create_webhook(address, tuple(state or HOOK_STATES), everybody)
    typer.echo(made.secret)
    typer.echo(f"webhook {made.id}; try it: s2e webhooks test {made.id}", err=True)


@app.command("list")
def list_(as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """List webhooks."""
    with S2EClient(url, key) as client:
        listed = client.webhooks()
    if as_json:
        typer.echo(json.dumps(to_json(listed), indent=1))
        return
    for hook in listed:
        typer.echo(f"{hook.id}  {hook.owner or '-'}  {hook.url}  {' '.join(hook.states)}")


@app.command("test")
def send_test(webhook_id: HookId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Send a message now. Exit code 1 if it was not taken."""
    with S2EClient(url, key) as client:
        delivery = client.test_webhook(webhook_id)
    typer.echo(f"{delivery.outcome}: {delivery.answer}")
    if delivery.outcome != "taken":
        raise typer.Exit(FAILED)


@app.command("log")
def log(webhook_id: HookId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Print the newest messages to a webhook, and their outcomes."""
    with S2EClient(url, key) as client:
        for one in client.deliveries(webhook_id):
            what = one.job_id or "test"
            typer.echo(f"{one.created_at:%Y-%m-%d %H:%M:%S}  {what}  {one.outcome}  {one.n_tries} tries  {one.answer}")


@app.command("remove")
def remove(webhook_id: HookId, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Tell an address nothing more."""
    with S2EClient(url, key) as client:
        client.delete_webhook(webhook_id)
    typer.echo("removed")
