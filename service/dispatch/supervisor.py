"""Child processes kept alive: api, Ray and dispatcher under one parent, none of which outlives it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from service.signals import set_by_signals

PARENT_PID = "S2E_PARENT_PID"
READY_FD = "S2E_READY_FD"
"""Number of the pipe by which a child says that it works."""
BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Before the next start: the first after a child that worked, the others after so many that did not in a row."""
HEALTHY_S = 30.0
"""A child that lived this long worked, whether it says so or not."""
TERM_S = 15.0
ORPHAN_S = 10.0


@dataclass
class Child:
    """One supervised process, the leader of a group of its own."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those of this process."""
    needs: Child | None = None
    """A process that this one depends on: it restarts when that one died, and ends before it."""
    unwanted: Path | None = None
    """While this file is there, the process is not to run."""
    healthy_s: float = HEALTHY_S
    process: subprocess.Popen[bytes] | None = None
    n_failures: int = 0
    started_s: float = 0.0
    restart_s: float = field(default=0.0)
    _ready: IO[bytes] | None = None

    def start(self) -> None:
        """Start in a session of its own: a Ctrl-C reaches the parent only, which then ends its children in order."""
        # A 36x36 eigenproblem is slower on several BLAS threads than on one; trainers set their own number.
        environment = {"OMP_NUM_THREADS": "1", **os.environ, **self.environment, PARENT_PID: str(os.getpid())}
        mine, theirs = os.pipe()
        self._ready = os.fdopen(mine, "rb", buffering=0)
        try:
            environment[READY_FD] = str(theirs)
            self.process = subprocess.Popen(self.command, env=environment, start_new_session=True, pass_fds=[theirs])  # noqa: S603
        finally:
            os.close(theirs)
        self.started_s = time.monotonic()

    def worked(self) -> bool:
        """True if the process, dead or alive, got as far as to work. One that was lost after that is the place's
        failure, and starts again at once; one that never works waits longer and longer."""
        ready = self._ready is not None and bool(select.select([self._ready], [], [], 0)[0] and self._ready.read(1))
        return ready or time.monotonic() - self.started_s > self.healthy_s

    def check(self, say: Callable[[str], None]) -> bool:
        """Start again once the back-off is over; whether it was seen to have died."""
        if self.unwanted is not None and self.unwanted.exists():
            self.rest()
            return False
        now_s, died = time.monotonic(), False
        if self.process is not None and (code := self.process.poll()) is not None:
            self.n_failures = 0 if code == 0 or self.worked() else self.n_failures + 1
            wait_s = BACK_OFF_S[min(self.n_failures, len(BACK_OFF_S) - 1)]
            self.end_group()
            self.process, self.restart_s, died = None, now_s + wait_s, True
            if code:  # one that ended in order has said why
                say(f"{self.name} ended with code {code}; it starts again in {wait_s:g} s")
        if self.process is None and now_s >= self.restart_s:
            self.start()
        return died

    def begin_anew(self) -> None:
        """Something it is connected to is gone: what it has been told of it is worth nothing."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.end_group()
        self.process, self.restart_s = None, 0.0

    def rest(self) -> None:
        """End until it is wanted."""
        if self.process is not None:
            _end([self])
            self.process, self.restart_s, self.n_failures = None, 0.0, 0

    def end_group(self) -> None:
        """End the processes that a dead one has left in its group."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        if self._ready is not None:
            self._ready.close()
            self._ready = None


def supervise(children: Sequence[Child], say: Callable[[str], None], poll_s: float = 0.2) -> None:
    """Keep the children running until SIGTERM or SIGINT, then end them."""
    stop = threading.Event()
    before = set_by_signals(stop)
    try:
        while not stop.is_set():
            for child in children:
                if child.check(say):
                    for other in children:
                        if other.needs is child:
                            other.begin_anew()
            stop.wait(poll_s)
    finally:
        needed = [child.needs for child in children]
        _end([child for child in children if child not in needed])
        _end([child for child in children if child in needed])
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(children: Sequence[Child]) -> None:
    """SIGTERM to all, then SIGKILL to those that do not listen, and to their groups."""
    for child in children:
        if child.process is not None:
            child.process.terminate()
    deadline_s = time.monotonic() + TERM_S
    for child in children:
        if child.process is None:
            continue
        try:
            child.process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        child.end_group()


def end_with_parent(poll_s: float = 0.5) -> None:
    """In a supervised child: end as by SIGTERM once the parent is gone, even by kill -9; by force if it takes long."""
    parent = os.environ.get(PARENT_PID)
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(poll_s)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_S)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def tell_ready() -> None:
    """In a supervised child: it works. What it has started itself may have inherited the variable, not the pipe."""
    pipe = os.environ.pop(READY_FD, None)
    if pipe is not None and os.environ.get(PARENT_PID) == str(os.getppid()):
        with suppress(OSError):
            os.write(int(pipe), b"1")
            os.close(int(pipe))


def command(verb: str) -> list[str]:
    """The command line of one part of the service. Without -P Python would look for ``service`` in the current folder
    first, where a user may have one of their own."""
    return [sys.executable, "-P", "-m", "service.cli.main", verb]
