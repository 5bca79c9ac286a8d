"""The heartbeat of a dispatcher: a thread of its own renews its leases and says that it lives.

So a slow step (an import, a large insert) loses no live job. A stuck dispatcher does not keep its jobs: when no step
has ended for ``stall_s``, the leases run out and another dispatcher goes on; later writes of the first are fenced off.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection

import structlog

from service.store import leases
from service.store.engine import Database
from service.store.outage import OUTAGES

STALL_S = 300.0
BEATS = 5
"""Beats in the time of a lease: four may fail, or come late, before it is lost."""
LONGEST_BEAT_S = 2.0
TELL_S = 2.0
"""Between two writings of the dispatcher's own row, which nobody needs with every beat."""
IDLE_BEAT_S = 5.0
"""Of a dispatcher that leads nothing; one that is silent for three times as long is not counted on."""

log = structlog.get_logger("s2e.dispatcher")


class Heartbeat:
    """Renews what ``owner`` leads. Only the main thread calls :meth:`leads` and :meth:`take_lost`."""

    def __init__(self, database: Database, owner: str, lease_s: float, stall_s: float = STALL_S) -> None:
        self._database, self._owner, self._lease_s, self._stall_s = database, owner, lease_s, stall_s
        self._beat_s = min(LONGEST_BEAT_S, lease_s / BEATS)
        self._told: str | None = None
        """The trouble that its row has; None: there is no row yet."""
        self._tell_s = 0.0
        self._lock = threading.Lock()
        self._led: frozenset[str] = frozenset()
        self._lost: set[str] = set()
        self._moved_s = self._next_s = time.monotonic()
        self._trouble = leases.STARTING
        self._stopped = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Beat until :meth:`stop`."""
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self, trouble: str = "", *, comes_back: bool = False) -> None:
        """End the thread; leave ``trouble`` as the last word, or no trace. One that ``comes_back`` at once stays:
        a service that rests is ready all the time."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if trouble:
            self.last_word(trouble)
        elif comes_back:
            self.beat()
        else:
            self._forget()

    def _forget(self) -> None:
        with self._database.write() as session:
            leases.forget_dispatcher(session, self._owner)

    def last_word(self, trouble: str) -> None:
        """Why this dispatcher ends."""
        with self._database.write() as session:
            leases.record_dispatcher(session, self._owner, trouble)

    def works(self) -> None:
        """The backend is there: from now on the dispatcher can be counted on."""
        self._trouble = ""

    def leads(self, job_ids: Collection[str]) -> None:
        """A step begins or ends, with these jobs led."""
        with self._lock:
            began = bool(job_ids) and not self._led
            self._led = frozenset(job_ids)
            self._moved_s = time.monotonic()
        if began:  # a lease is shorter than an idle beat
            self._wake.set()

    def beat_if_due(self) -> None:
        """A beat in the calling thread, where no thread of its own beats."""
        if self._thread is None and time.monotonic() >= self._next_s:
            self.beat()

    def take_lost(self) -> set[str]:
        """The jobs whose leases others have taken, told once."""
        with self._lock:
            lost, self._lost = self._lost, set()
        return lost

    def beat(self) -> None:
        """Renew the leases and say that we live."""
        self._next_s = time.monotonic() + self._beat_s
        with self._lock:
            led, stalled_s = self._led, time.monotonic() - self._moved_s
        stalled = stalled_s > self._stall_s
        trouble = f"no step has ended for {stalled_s:.0f} s" if stalled and not self._trouble else self._trouble
        renews = bool(led) and not stalled
        tells = not renews or trouble != self._told or time.monotonic() >= self._tell_s
        with self._database.write() as session:
            held = leases.renew_leases(session, self._owner, sorted(led), self._lease_s) if renews else led
            if tells:
                leases.record_dispatcher(session, self._owner, trouble)
        if tells:
            self._told, self._tell_s = trouble, time.monotonic() + TELL_S
        with self._lock:
            self._lost |= led - held

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            try:
                self.beat()
            except OUTAGES as error:  # it tries again; a lease that runs out meanwhile is noticed then
                log.warning("no heartbeat", error=type(error).__name__, detail=str(error)[:400])
            self._wake.wait(self._beat_s if self._led else max(self._beat_s, IDLE_BEAT_S))
