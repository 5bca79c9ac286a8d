"""Dispatchers of one machine, which can see each other's processes.

Elsewhere a dispatcher's death shows when its leases have run out, as does that of a frozen one. A neighbour sees at
once that a process is gone, and frees its jobs. Where a process id is in use again, the leases have to run out.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import time
from functools import cache
from pathlib import Path

import structlog

from service.store import leases
from service.store.engine import Database

LOOK_S = 0.5
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


def has_died(owner: str) -> bool:
    """True if a dispatcher was one of this machine and its process is gone."""
    pid = owner.rsplit(":", 2)[-2:][0]
    if not is_here(owner) or not pid.isdigit():
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
