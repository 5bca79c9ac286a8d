"""The API process: uvicorn around the application, ended within three seconds even with open connections."""

from __future__ import annotations

import threading
from types import FrameType

import uvicorn

from service.api.app import create_app
from service.api.protocol import protocol
from service.settings import Settings

GRACEFUL_S = 2


class Server(uvicorn.Server):
    """Ends the event streams at the first signal; uvicorn alone would wait for them to end by themselves."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self.stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.stopping.set()
        super().handle_exit(sig, frame)


def make_server(settings: Settings) -> Server:
    """A server that is not yet listening. Raises ExposedWithoutKeyError."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol(settings.max_header_bytes, settings.receive_s),
        timeout_graceful_shutdown=GRACEFUL_S,
        log_config=None,  # service.logs, or whoever runs this, says how
        access_log=False,
        ws="none",
        server_header=False,
    )
    return Server(config, app.state.stopping)
