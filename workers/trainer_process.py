"""The process that trains: one population after another, each asked for by a line of JSON, each event told by one.

It is a child of the :class:`workers.detached.Trainer` actor, not the actor itself, so that the engine has a main thread
of its own (memory kept from step to step, an interrupt that stops it) and a crash loses no result.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

from workers.logged import log_this_process
from workers.trainer import run_population, warm_up

STOPPED = "stopped"
"""Sent in place of further events once an interrupt has ended a population."""
_WATCH_S = 0.5


def main() -> None:
    """Train what standard input asks for until it is closed; events go to the file descriptor of the first argument."""
    out = int(sys.argv[1])
    log_this_process()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a thread of an actor has them blocked, and its children inherit it
    _end_with(os.getppid())
    number = 0
    while True:
        # An interrupt that comes when a population has just ended is for nobody.
        with contextlib.suppress(KeyboardInterrupt):
            warm_up()
            line = sys.stdin.buffer.readline()
            if not line:
                return
            order = json.loads(line)
            number = order["number"]
            for event in run_population(*order["arguments"]):
                _tell(out, number, event)
            continue
        _tell(out, number, {"kind": STOPPED})


def _tell(out: int, number: int, event: dict[str, Any]) -> None:
    """A line begins with a line feed, so that one that an interrupt has cut off spoils none but itself."""
    data = f"\n{json.dumps([number, event])}\n".encode()
    while data:
        data = data[os.write(out, data) :]


def _end_with(parent: int) -> None:
    """Nobody reads the results of a trainer whose actor is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


if __name__ == "__main__":
    main()
