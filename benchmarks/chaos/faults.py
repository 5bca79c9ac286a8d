"""Faults: each does its harm, and undoes it where it does not heal by itself."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from benchmarks.chaos.place import DISK_MB, Place


@dataclass(frozen=True)
class Fault:
    """``do`` returns what it did, or nothing where there was nothing to be done to."""

    name: str
    weight: float
    do: Callable[[Place, random.Random], str]

    @property
    def kills(self) -> bool:
        """True if a process is killed, and nothing waits."""
        return self.name.endswith("killed")


def _signal(pid: int | None, number: int) -> str:
    if pid is None:
        return ""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return str(pid)
    return ""


def _lasts(place: Place, rng: random.Random, shortest_s: float, longest_s: float) -> float:
    """Seconds that a fault lasts here."""
    return rng.uniform(shortest_s, shortest_s + place.hold * (longest_s - shortest_s))


def _freeze(pid: int | None, seconds: float) -> str:
    if not _signal(pid, signal.SIGSTOP):
        return ""
    time.sleep(seconds)
    _signal(pid, signal.SIGCONT)
    return f"{pid} for {seconds:.1f} s"


def _kill(*names: str) -> Callable[[Place, random.Random], str]:
    return lambda place, rng: _signal(place.pid(rng.choice(names)), signal.SIGKILL)


def _freeze_any(longest_s: float, *names: str) -> Callable[[Place, random.Random], str]:
    return lambda place, rng: _freeze(place.pid(rng.choice(names)), _lasts(place, rng, 0.5, longest_s))


def _one_of(processes: list[psutil.Process], rng: random.Random) -> int | None:
    pids = sorted(process.pid for process in processes)
    return rng.choice(pids) if pids else None


def _cut(place: Place, _rng: random.Random) -> str:
    return f"{place.proxy.cut()} connections"


def _outage(place: Place, rng: random.Random) -> str:
    seconds = _lasts(place, rng, 1.0, 12.0)
    place.proxy.refuses = True
    place.proxy.cut()
    time.sleep(seconds)
    place.proxy.refuses = False
    return f"{seconds:.1f} s"


def _crash_database(place: Place, rng: random.Random) -> str:
    seconds = _lasts(place, rng, 0.0, 3.0)
    place.postgres.stop("immediate")
    time.sleep(seconds)
    place.postgres.start()
    return f"{seconds:.1f} s"


def _fill_disk(place: Place, rng: random.Random) -> str:
    if not place.has_disk:
        return ""
    seconds, ballast = _lasts(place, rng, 1.0, 8.0), place.artifacts / "ballast"
    with suppress(OSError), ballast.open("wb") as file:
        for _ in range(16 * DISK_MB):
            file.write(bytes(65_536))
    time.sleep(seconds)
    ballast.unlink()
    return f"{seconds:.1f} s"


def _jump(place: Place, rng: random.Random) -> str:
    """For a while the clock of one process is an hour ahead or behind that of the machine and of the database."""
    if not place.has_clock:
        return ""
    name, hours = rng.choice(("api", "first", "second")), rng.choice((-1, 1))
    seconds = _lasts(place, rng, 2.0, 12.0)
    place.set_clock(name, 3600 * hours)
    time.sleep(seconds)
    place.set_clock(name, 0)
    return f"{name} by {hours:+} h"


FAULTS = (
    Fault("dispatcher killed", 4, _kill("first", "second")),
    Fault("dispatcher frozen", 2, _freeze_any(12.0, "first", "second")),
    Fault("both dispatchers killed", 1, lambda p, r: _kill("first")(p, r) + _kill("second")(p, r)),
    Fault("api killed", 2, _kill("api")),
    Fault("api frozen", 1, _freeze_any(5.0, "api")),
    Fault(
        "training process killed", 4,
        lambda p, r: _signal(_one_of(p.trainers("workers.trainer_process"), r), signal.SIGKILL),
    ),
    Fault(
        "training process frozen", 1,
        lambda p, r: _freeze(_one_of(p.trainers("workers.trainer_process"), r), _lasts(p, r, 0.5, 6.0)),
    ),
    Fault(
        "trainer (actor) killed", 2,
        lambda p, r: _signal(_one_of(p.trainers("ray::Trainer"), r), signal.SIGKILL),
    ),
    Fault("node killed", 1.5, lambda p, _: _signal(p.raylet_of_node(), signal.SIGKILL)),
    Fault("head's gcs killed", 0.5, lambda p, _: _signal(p.gcs(), signal.SIGKILL)),
    Fault("connections to the database cut", 3, _cut),
    Fault("database away", 2, _outage),
    Fault("database crashed and restarted", 1, _crash_database),
    Fault("artifact disk full", 1, _fill_disk),
    Fault("clock jumps by an hour", 1, _jump),
)  # fmt: skip
