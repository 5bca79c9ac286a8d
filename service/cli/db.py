"""The commands about the database: copy it, back it up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from s2e.extras import needs
from service.cli.options import NotReadyError

app = typer.Typer()
From = Annotated[
    str | None, typer.Option("--from", help="URL of the database to copy; S2E_DATABASE_URL, or that of S2E_HOME.")
]


@app.command("copy")
def copy(
    to: Annotated[str, typer.Option(help="URL of an empty database: sqlite:///FILE or postgresql://USER@HOST/NAME.")],
    source: From = None,
) -> None:
    """Copy every row to an empty database of either kind. Stop the service first.

    Example: s2e db copy --to postgresql://s2e@db/s2e
    """
    _run(lambda transfer: transfer.copy(_url(source), to, _say))
    typer.echo("done; set S2E_DATABASE_URL to the new database and start the service")


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; must not be there yet.")], source: From = None
) -> None:
    """Write the state of the database to a SQLite file, while the service goes on.

    Restore it into an empty database: s2e db copy --from sqlite:///FILE --to URL
    """
    _run(lambda transfer: transfer.backup(_url(source), file, _say))
    typer.echo(f"{file}  {file.stat().st_size / 1e6:.1f} MB")


def _run(work: Callable[[Any], None]) -> None:
    with needs("server"):
        from sqlalchemy.exc import SQLAlchemyError

        from service.store import transfer
    try:
        work(transfer)
    except transfer.TransferError as error:
        raise NotReadyError(str(error)) from error
    except SQLAlchemyError as error:
        raise NotReadyError(f"the database does not answer: {str(error).splitlines()[0][:300]}") from error


def _url(source: str | None) -> str:
    from service.cli.service import _settings

    return source or _settings().database_url


def _say(table: str, n_rows: int) -> None:
    typer.echo(f"{table:<20} {n_rows:>10}")
