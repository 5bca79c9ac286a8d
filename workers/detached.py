"""A trainer that outlives its dispatcher: a named Ray actor with a training process below it and a spool of results.

Events are numbered. The leading dispatcher asks for those from a number on, which says that earlier ones are in the
database; only then does the trainer forget them, so a dispatcher that takes over hears again whatever the last one may
not have written. A trainer that nobody asks for ``orphan_s`` ends itself, so that nothing trains for ever.

This module imports neither Ray nor torch: an actor has the one, its training process the other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from s2e import __version__
from workers.backend import DEVICE_FAILED, LOST_TRAINER, OUT_OF_MEMORY, TOO_MANY, PopulationKey, PopulationLost
from workers.trainer_process import LEFT, STOPPED
from workers.wire import EPOCHS, encode

RELEASE = __version__
"""Events are read by the release that wrote them; a trainer that an upgrade has left behind is of no use."""
MOST_HELD = 10_000
"""Events that wait to be acknowledged; with more of them the training waits."""
MOST_TOLD = 1_000
"""Events of one answer."""
GATHER_S = 0.2
"""Epochs are told together with those that follow within this time; whatever else happens is told at once. Told one by
one, epochs of a few milliseconds keep the dispatcher as busy as a trainer."""
_WATCH_S = 0.5
_ENDS = ("finished", "lost", "checked")
_ONLY_A_NEW_PROCESS_HELPS = (OUT_OF_MEMORY, TOO_MANY, DEVICE_FAILED)

Json = dict[str, Any]


class Batch(TypedDict):
    """Events of one population: the first of them has the number ``first``."""

    first: int
    events: list[Json]


class State(TypedDict):
    """A trainer's account of itself: release of its code, node, resources, and the populations in its hands."""

    release: str
    node: str
    asks: dict[str, float]
    keys: list[Json]


@dataclass(eq=False)
class _Work:
    """A population in the hands of a trainer, up to the acknowledgement of its end. Those of one ``number`` are one
    program."""

    key: Json
    number: int
    first: int = 0
    events: list[Json] = field(default_factory=list)
    ended: bool = False
    stopping: bool = False
    n_oom: int = 0

    @property
    def over(self) -> bool:
        return self.ended and not self.events

    @property
    def tells(self) -> bool:
        """True if something is to be told at once: more than epochs, or that nothing follows."""
        return self.ended or len(self.events) >= MOST_TOLD or any(event["kind"] != EPOCHS for event in self.events)

    def acknowledge(self, upto: int) -> None:
        """The events before this number are in the database."""
        n = max(0, upto - self.first)
        del self.events[:n]
        self.first += n


class Trainer:
    """The actor. Its methods are called by several dispatchers at once, each in a thread of its own."""

    def __init__(self, asks: dict[str, float], orphan_s: float, idle_s: float | None, grace_s: float) -> None:
        if not asks.get("GPU"):
            # Ray leaves the variable unset for an actor without GPUs, and its trainings would see all of them.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._asks, self._orphan_s, self._idle_s, self._grace_s = asks, orphan_s, idle_s, grace_s
        self._changed = threading.Condition()
        self._works: list[_Work] = []
        self._number = 0
        self._heard_s = time.monotonic()
        self._child: subprocess.Popen[bytes] | None = None
        self._start_child()
        threading.Thread(target=self._watch, name="orphan-watch", daemon=True).start()

    def state(self) -> State:
        """The trainer's release, node and work; asking keeps no orphan alive."""
        import ray

        with self._changed:
            keys = [work.key for work in self._works if not work.over]
        node = ray.get_runtime_context().get_node_id()
        return {"release": RELEASE, "node": node, "asks": self._asks, "keys": keys}

    def begin(
        self,
        populations: list[tuple[Json, Json]],
        where: tuple[str, str | None],
        check: bool,
        ended: list[tuple[Json, int]],
    ) -> Batch | None:
        """Train populations (key, population) as one program, with the artifact root and the data root ``where``; the
        first events of the first, or None when others are in hand. ``ended``: those before, whose events up to a number
        are in the database (said here too, because two calls may overtake each other)."""
        with self._changed:
            for key, upto in ended:
                if (work := self._work(key)) is not None:
                    work.acknowledge(upto)
            if not self._is_idle():
                return None
            self._number += 1
            n_oom = _n_oom_kills()
            self._works = [_Work(key, self._number, n_oom=n_oom) for key, _ in populations]
            self._heard_s = time.monotonic()
            if self._child is None or self._child.poll() is not None:
                self._start_child()
            order = {"number": self._number, "populations": populations, "where": where, "check": check}
        self._tell(order)  # a large one waits until the process has imported the engine, and nobody else waits with it
        return self.events(populations[0][0], 0, 1.0)

    def events(self, key: Json, after: int, timeout_s: float) -> Batch | None:
        """Acknowledge the events before number ``after``, and wait for those that are there then. None: the population
        is not in these hands."""
        until_s, gathered = time.monotonic() + timeout_s, False
        with self._changed:
            self._heard_s = time.monotonic()
            work = self._work(key)
            if work is None:
                return None
            work.acknowledge(after)
            self._changed.notify_all()
            while not work.tells and work in self._works:
                if work.events and not gathered:
                    until_s, gathered = min(until_s, time.monotonic() + GATHER_S), True
                if (left_s := until_s - time.monotonic()) <= 0:
                    break
                self._changed.wait(left_s)
            return None if work not in self._works else {"first": work.first, "events": work.events[:MOST_TOLD]}

    def stop(self, key: Json) -> None:
        """Stop a population; returns when it has stopped. The last one of a program is stopped by force where an
        interrupt is not heard; another one is silent at once, and out of the program at its next epoch."""
        with self._changed:
            work = self._work(key)
            if work is None:
                return
            work.stopping = True
            self._changed.notify_all()
            if any(other is not work and not other.ended for other in self._works):
                self._tell({LEFT: key})
            elif not work.ended and self._child is not None:
                child = self._child
                child.send_signal(signal.SIGINT)
                if not self._changed.wait_for(lambda: work.ended, self._grace_s):
                    child.kill()
                    self._changed.wait_for(lambda: work.ended, self._grace_s)
            self._works.remove(work)
            self._changed.notify_all()

    def end_if_idle(self) -> None:
        """End this trainer unless it trains: another dispatcher may have come first."""
        with self._changed:
            if self._is_idle():
                self._exit()

    def _is_idle(self) -> bool:
        return all(work.over for work in self._works)

    def _work(self, key: Json) -> _Work | None:
        return next((work for work in self._works if work.key == key), None)

    def _tell(self, line: Json) -> None:
        """A line for the training process. Where it is gone, its end is read, and told as a loss."""
        pipe = None if self._child is None else self._child.stdin
        with suppress(BrokenPipeError):
            if pipe is not None:
                pipe.write(json.dumps(line).encode() + b"\n")
                pipe.flush()

    def _exit(self) -> None:
        if self._child is not None:
            self._child.kill()
        os._exit(0)

    def _start_child(self) -> None:
        read, write = os.pipe()
        path = os.pathsep.join(_search_path())
        self._child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "workers.trainer_process", str(write)],
            stdin=subprocess.PIPE,
            pass_fds=[write],
            env=os.environ | {"PYTHONPATH": path},
        )
        os.close(write)
        threading.Thread(target=self._read, args=(self._child, read), name="events", daemon=True).start()

    def _read(self, child: subprocess.Popen[bytes], read: int) -> None:
        """Take in the messages of a training process, until it ends."""
        with os.fdopen(read, "rb") as lines:
            for line in lines:
                with suppress(ValueError):  # an interrupt cut it off
                    number, event = json.loads(line)
                    self._take(child, number, event)
        code = child.wait()
        with self._changed:
            for work in self._works if self._child is child else []:
                if not work.ended:
                    self._add(work, encode(self._death(work, code)))

    def _death(self, work: _Work, code: int) -> PopulationLost:
        """The loss of a population with its process. Several that had no room together may have it one by one, so they
        are not told to become smaller."""
        oom = code == -signal.SIGKILL and _n_oom_kills() > work.n_oom
        how = f"signal {-code}" if code < 0 else f"code {code}"
        cause = LOST_TRAINER if not oom else OUT_OF_MEMORY if len(self._works) == 1 else TOO_MANY
        return PopulationLost(PopulationKey(**work.key), f"the training process ended with {how}", True, cause)

    def _take(self, child: subprocess.Popen[bytes], number: int, event: Json) -> None:
        with self._changed:
            works = [work for work in self._works if work.number == number and not work.ended]
            if event["kind"] == STOPPED:
                for stopped in works:
                    stopped.ended = True
                self._changed.notify_all()
                return
            work = next((work for work in works if work.key == event["key"]), None)
            if work is None:
                return
            # The pipe fills up meanwhile, and the training waits.
            self._changed.wait_for(lambda: len(work.events) < MOST_HELD or work.stopping)
            if len(self._works) > 1 and event.get("cause") == OUT_OF_MEMORY:
                event["cause"] = TOO_MANY
            self._add(work, event)
            if event["kind"] == "lost" and event["cause"] in _ONLY_A_NEW_PROCESS_HELPS:
                child.kill()

    def _add(self, work: _Work, event: Json) -> None:
        work.events.append(event)
        work.ended = event["kind"] in _ENDS
        self._changed.notify_all()

    def _watch(self) -> None:
        """End this process once nobody wants it any more."""
        idle_since_s: float | None = None
        while True:
            time.sleep(_WATCH_S)
            now_s = time.monotonic()
            with self._changed:
                idle = self._is_idle()
                idle_since_s = (idle_since_s or now_s) if idle else None
                orphaned = not idle and now_s - self._heard_s > self._orphan_s
                unused = idle_since_s is not None and self._idle_s is not None and now_s - idle_since_s > self._idle_s
            if orphaned or unused:
                self._exit()


def _search_path() -> list[str]:
    """This process's module search path without Ray's own folders: Ray's packages are none of the training's."""
    ray = sys.modules.get("ray")
    its_own = str(Path(str(ray.__file__)).parent) if ray is not None else None
    return [entry for entry in sys.path if entry and (its_own is None or not entry.startswith(its_own))]


def _n_oom_kills() -> int:
    """Processes that the kernel of this host has killed for want of memory."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, n = line.partition(" ")
            if name == "oom_kill":
                return int(n)
    return 0
