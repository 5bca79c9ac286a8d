"""Signals that end a process in order."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGINT)


def set_by_signals(stop: threading.Event) -> dict[signal.Signals, Any]:
    """From now on SIGTERM and SIGINT set the event; the handlers before, for who gives them back.

    A thread sets it: a handler runs between two instructions of the main thread, and where those are of ``stop.wait()``
    it holds the event's lock, so that ``stop.set()`` would wait for it for ever.
    """

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=stop.set, name="stop", daemon=True).start()

    return {number: signal.signal(number, on_signal) for number in ENDING}
