"""The API process: uvicorn around the application, ended within three seconds even with open connections."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from service.api.app import create_app
from service.api.protocol import protocol
from service.settings import Settings

GRACEFUL_S = 2
TICK_S = 1.0
"""Between two looks at the clock, for the date in the headers."""


class Server(uvicorn.Server):
    """Ends at the first signal, and the event streams with it; uvicorn alone would look every tenth of a second whether
    there was one, and wait for the streams to end by themselves."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self.stopping = stopping
        self.on_ready: Callable[[], None] | None = None
        """Called once it listens."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.stopping.set()
        super().handle_exit(sig, frame)
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended: told twice
                self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        """As uvicorn's, but awake as soon as :meth:`handle_exit` was called."""
        self._loop = asyncio.get_running_loop()
        if self.on_ready is not None:
            self.on_ready()
        while not await self.on_tick(0):  # of uvicorn's ten ticks a second, the one that looks
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), TICK_S)


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


def settle() -> None:
    """Leave what is there by now to the end of the process out of the search for garbage. It is most of the process's
    objects, and to go through them takes a tenth of a second, in which nobody is answered."""
    gc.collect()
    gc.freeze()
