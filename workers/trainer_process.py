"""The process that trains: one program after another, each asked for by a line of JSON, each event told by one. While a
program of several populations trains, further lines name those that leave it.

It is a child of the :class:`workers.detached.Trainer` actor, not the actor itself, so that the engine has a main thread
of its own (memory kept from step to step, an interrupt that stops it) and a crash loses no result.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from s2e.startup import start_quickly
from workers.backend import PopulationKey
from workers.logged import log_this_process
from workers.trainer import run_population, run_together, warm_up

STOPPED = "stopped"
"""Sent in place of further events once an interrupt has ended a population."""
LEFT = "left"
"""A line of standard input that is no order: the population of this key leaves the program under way."""
_WATCH_S = 0.5


class Lines:
    """Lines of JSON from a file descriptor, waited for or not."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._rest = descriptor, b""

    def next_order(self) -> dict[str, Any] | None:
        """The next order; None when there are no more. Who was to leave a program that has ended left with it."""
        while True:
            line, ends, rest = self._rest.partition(b"\n")
            if ends:
                self._rest = rest
                if LEFT not in (order := json.loads(line)):
                    return dict(order)
            elif not self._fill():
                return None

    def left(self) -> list[PopulationKey]:
        """The populations that are to leave by now."""
        while select.select([self._descriptor], [], [], 0)[0] and self._fill():
            pass
        *lines, rest = self._rest.split(b"\n")
        told = [json.loads(line) for line in lines]
        self._rest = b"".join(json.dumps(order).encode() + b"\n" for order in told if LEFT not in order) + rest
        return [PopulationKey(**line[LEFT]) for line in told if LEFT in line]

    def _fill(self) -> bool:
        read = os.read(self._descriptor, 1 << 16)
        self._rest += read
        return bool(read)


def main() -> None:
    """Train what standard input asks for until it is closed; events go to the file descriptor of the first argument."""
    start_quickly()
    out = int(sys.argv[1])
    log_this_process()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a thread of an actor has them blocked, and its children inherit it
    _end_with(os.getppid())
    number, lines = 0, Lines(sys.stdin.fileno())
    while True:
        # An interrupt that comes when a program has just ended is for nobody.
        with contextlib.suppress(KeyboardInterrupt):
            warm_up()
            order = lines.next_order()
            if order is None:
                return
            number = order["number"]
            for event in _events(order, lines):
                _tell(out, number, event)
            continue
        _tell(out, number, {"kind": STOPPED})


def _events(order: dict[str, Any], lines: Lines) -> Iterator[dict[str, Any]]:
    populations, (artifact_root, data_root) = order["populations"], order["where"]
    if len(populations) > 1:
        return run_together(populations, artifact_root, data_root, lines.left)
    ((key, population),) = populations
    return run_population(key, population, artifact_root, data_root, order["check"])


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
