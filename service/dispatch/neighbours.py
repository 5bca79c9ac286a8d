"""Dispatchers of one machine, which can see each other's processes.

Elsewhere a dispatcher's death shows when its leases have run out, as does that of a frozen one. A neighbour sees at
once that a process is gone, and frees its jobs. Where a process id is in use again, the leases have to run out.

Machines that were woken from one snapshot have the same start and the same space of process ids, and do not see each
other's processes. So a dispatcher leaves a mark in its machine's memory: only one whose mark is here has died here.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import structlog

from service.store import leases
from service.store.engine import Database

LOOK_S = 0.5
_MEMORY = Path("/dev/shm")  # noqa: S108  files there are empty, and none is read
MARKS = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
OLD_S = 3600.0
"""A mark of this age, of a process that is gone, is of no use to anybody."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
log = structlog.get_logger("s2e.dispatcher")


def new_owner() -> str:
    """A name for one dispatcher: host, process, where that process can be seen, and a random part that distinguishes
    restarts."""
    return f"{socket.gethostname()[:48]}:{os.getpid()}:{here()}-{secrets.token_hex(4)}"


@cache
def here() -> str:
    """The start of the machine and the space of process ids: who has the same sees the same processes. Nobody has, on
    a system that does not tell."""
    try:
        told = f"{_BOOT_ID.read_text()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return secrets.token_hex(4)
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def is_here(owner: str) -> bool:
    """True if the process of a dispatcher is, or was, one of those that can be seen from here."""
    return owner.rpartition(":")[2].startswith(f"{here()}-")


@contextmanager
def marked(owner: str) -> Iterator[None]:
    """Leave the mark of a dispatcher of this process. It goes with it, as do old ones of processes that were killed:
    only now, because whoever starts has to see that the one before it has died."""
    with suppress(OSError):
        _mark(owner).touch()
    try:
        yield
    finally:
        _unmark(owner)
        with suppress(OSError):
            for old in MARKS.glob("s2e-dispatcher-*"):
                if time.time() - old.stat().st_mtime > OLD_S and _is_gone(old.name.split("-")[2]):
                    old.unlink()


def _mark(owner: str) -> Path:
    _, pid, where = owner.rsplit(":", 2)
    return MARKS / f"s2e-dispatcher-{pid}-{where}"


def _unmark(owner: str) -> None:
    with suppress(OSError, ValueError):
        _mark(owner).unlink()


def has_died(owner: str) -> bool:
    """True if a dispatcher was one of this machine and its process is gone."""
    return is_here(owner) and owner.count(":") >= 2 and _mark(owner).exists() and _is_gone(owner.rsplit(":", 2)[1])


def _is_gone(pid: str) -> bool:
    """True if there is no process of this id."""
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, and is another user's
        return False
    return False


class Neighbours:
    """The other dispatchers that ``owner`` can see."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database, self._sees = database, is_here(owner)
        self._at_s = 0.0

    def look(self) -> None:
        """Free the jobs of those that have died, now and then."""
        if not self._sees or time.monotonic() < self._at_s:
            return
        self._at_s = time.monotonic() + LOOK_S
        with self._database.read() as session:
            dead = [owner for owner in leases.leaders(session) if has_died(owner)]
        for owner in dead:
            log.warning("a dispatcher of this machine has died", died=owner)
            with self._database.write() as session:
                leases.free(session, owner)
            _unmark(owner)
