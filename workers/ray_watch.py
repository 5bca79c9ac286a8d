"""A watch on Ray's head. A driver alone notices only after a minute that it is gone, and then its process is ended."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

EVERY_S = 1.0
MOST_MISSED = 3


def watch_head(address: str, gone: Callable[[str], None], every_s: float = EVERY_S) -> None:
    """Call ``gone`` with the reason, in a thread, once nobody has listened at ``host:port`` several times in a row."""
    host, _, port = address.rpartition(":")

    def watch() -> None:
        n_missed, pause = 0, threading.Event()
        while n_missed < MOST_MISSED:
            try:
                socket.create_connection((host, int(port)), timeout=2.0).close()
            except OSError:
                n_missed += 1
            else:
                n_missed = 0
            pause.wait(every_s)
        gone(f"Ray's head at {address} is gone")

    threading.Thread(target=watch, name="head-watch", daemon=True).start()
