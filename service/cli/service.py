"""The commands that are the service: serve, api, dispatcher, migrate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2e.extras import needs, require
from service.cli.options import FAILED, AsJson, NotReadyError, print_json

if TYPE_CHECKING:
    from service.dispatch.supervisor import Child
    from service.settings import Settings

_PANEL = "The service"
Host = Annotated[str | None, typer.Option(help="Address to listen on. Beyond 127.0.0.1 it needs S2E_API_KEY.")]
Port = Annotated[int | None, typer.Option(min=0, max=65_535, help="Port to listen on.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for function in (serve, api, dispatcher, migrate, doctor, openapi):
        app.command(rich_help_panel=_PANEL)(function)
    app.command(hidden=True)(ray_head)


def serve(
    host: Host = None,
    port: Port = None,
    home: Annotated[str | None, typer.Option(help="Folder of the database and the artifacts.")] = None,
) -> None:
    """Start the service on this machine: api, Ray and dispatcher, restarted when one dies. Ctrl-C ends all.

    With S2E_RAY_ADDRESS no Ray is started: trials train on that cluster.

    Settings come from the environment (S2E_HOME, S2E_DATABASE_URL, S2E_API_KEY, S2E_DATA_ROOT, ...); the options
    here set the same things. Each part can also be started alone: s2e api, s2e dispatcher.
    """
    from tempfile import TemporaryDirectory

    from service.dispatch.supervisor import end_with_parent, supervise

    require("server")
    end_with_parent()  # where another program supervises this one, such as the demo
    settings = _settings(host, port, home)
    if settings.backend == "ray":
        require("worker")
    _check_exposure(settings)
    _check_port(settings)
    _migrate(settings)
    typer.echo(
        f"S2E listens on http://{_in_url(settings.host)}:{settings.port} (dashboard, API, /docs). Ctrl-C ends it."
    )
    with TemporaryDirectory(prefix="s2e-serve-") as folder:
        supervise(_children(settings, Path(folder)), say=lambda text: typer.echo(text, err=True))


def _children(settings: Settings, folder: Path) -> list[Child]:
    """The parts of the service. A local Ray is one of them, so that a dispatcher may die and what trains goes on."""
    from service.dispatch.supervisor import Child, command

    api = Child("api", command("api"))
    if settings.backend != "ray" or settings.ray_address is not None:
        return [api, Child("dispatcher", command("dispatcher"))]
    from service.dispatch.rest import NOTE
    from workers.ray_head import FILE, share_token

    token: dict[str, str] = {name: os.environ[name] for name in os.environ if name.startswith("RAY_AUTH_")}
    share_token(token)
    note = folder / "ray-rests.json"
    shared = token | {"S2E_RAY_ADDRESS": f"{FILE}{folder / 'ray.json'}", NOTE: str(note)}
    ray = Child("ray", command("ray-head"), shared, unwanted=note)
    return [api, ray, Child("dispatcher", command("dispatcher"), shared, needs=ray)]


def api(host: Host = None, port: Port = None) -> None:
    """Start the API alone: REST, event stream and dashboard. Needs neither torch nor Ray."""
    with needs("server"):
        from service import logs
        from service.api.server import make_server, settle
        from service.dispatch.supervisor import end_with_parent, tell_ready

        logs.configure()
        settings = _settings(host, port)
        server = make_server(settings)
        server.on_ready = tell_ready
        if not _at_head(settings):
            _migrate(settings)
    end_with_parent()
    settle()
    server.run()


def dispatcher() -> None:
    """Start a dispatcher alone: it advances jobs and leads the trainers. More than one may run; each job has one."""
    with needs("worker"):
        from service.dispatch.process import run
        from service.dispatch.supervisor import end_with_parent

        settings = _settings()
        if not _at_head(settings):
            raise NotReadyError("the database schema is out of date; start the api first, or run: s2e migrate")
    end_with_parent()
    run(settings)


def ray_head() -> None:
    """The local Ray of 's2e serve', which tells the dispatcher its address by the file of S2E_RAY_ADDRESS."""
    import threading

    from service.dispatch.supervisor import end_with_parent, tell_ready
    from service.signals import set_by_signals

    with needs("worker"):
        from workers.ray_backend import OBJECT_STORE_BYTES
        from workers.ray_head import FILE, run_head

    settings, stop = _settings(), threading.Event()
    set_by_signals(stop)
    end_with_parent()
    code = run_head(
        Path((settings.ray_address or "").removeprefix(FILE)),
        stop,
        num_cpus=settings.ray_num_cpus,
        object_store_bytes=OBJECT_STORE_BYTES,
        pass_on=settings.worker_env.split(","),
        on_ready=tell_ready,
    )
    raise typer.Exit(code)


def migrate() -> None:
    """Bring the database schema up to date ('s2e serve' and 's2e api' do it by themselves)."""
    with needs("server"):
        _migrate(_settings())
    typer.echo("the database schema is up to date")


def doctor(as_json: AsJson = False) -> None:
    """Check everything that may stop the service from working: packages, key, disks, data, database, dispatcher, api.

    Changes nothing. Exit code 1 if something is wrong.
    """
    with needs("server"):
        from service.doctor import WRONG, examine

    findings = list(examine(_settings()))
    if as_json:
        print_json(findings)
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            typer.echo(f"{finding.state:<8} {finding.name:<{width}}  {finding.detail}")
            if finding.state != "ok":
                typer.echo(f"{'':<8} {'':<{width}}  -> {finding.remedy}")
    if any(finding.state == WRONG for finding in findings):
        raise typer.Exit(FAILED)


def openapi() -> None:
    """Print the OpenAPI document of the REST API (docs/openapi.json is this)."""
    with needs("server"):
        from service.api.app import openapi_text

    typer.echo(openapi_text(), nl=False)


def _settings(host: str | None = None, port: int | None = None, home: str | None = None) -> Settings:
    """Settings of the environment and the options; the environment is set too, for the children."""
    with needs("server"), _named():
        from service.settings import Settings

        for name, value in (("S2E_HOST", host), ("S2E_PORT", port), ("S2E_HOME", home)):
            if value is not None:
                os.environ[name] = str(value)
        return Settings()


@contextmanager
def _named() -> Iterator[None]:
    """A setting that does not fit is refused by the name of its variable."""
    from pydantic import ValidationError

    try:
        yield
    except ValidationError as error:
        lines = [f"S2E_{e['loc'][0]}".upper() + f": {e['msg']}" for e in error.errors() if e["loc"]]
        raise NotReadyError("\n".join(lines)) from error


def _check_exposure(settings: Settings) -> None:
    from service.api.auth import check_exposure

    check_exposure(settings.host, settings.api_key.get_secret_value() if settings.api_key else None)


def _check_port(settings: Settings) -> None:
    """Say now that the port is taken, instead of restarting an api that cannot have it."""
    import socket

    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise NotReadyError(
                f"cannot listen on {settings.host}:{settings.port}: {error}; choose a --port"
            ) from error


def _migrate(settings: Settings) -> None:
    from service.store.engine import migrate as migrate_database

    migrate_database(settings.database_url)


def _at_head(settings: Settings) -> bool:
    from service.store.engine import Database

    database = Database(settings.database_url)
    try:
        return database.at_head()
    finally:
        database.close()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
