"""Reasons to look at the database before the next regular look: none of them is relied upon, all of them save time.

SQLite writes into a file, whose time and size can be seen from outside. PostgreSQL notifies who listens: a transaction
that changes what a job does rings (:func:`ring`), and a process that waits has one connection on which it hears that.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
from sqlalchemy import URL, Connection, text

CHANNEL = "s2e"
KINDS = frozenset({"job", "round", "report"})
"""Events worth a wake-up. Those of trials and epochs are many, and come while everybody is awake."""
QUIET_S = 10.0
"""After this long without a word, the connection is asked if it still stands."""
AGAIN_S = 2.0
"""Between two tries to listen. Until one succeeds, :meth:`Watch.changed` is always true: whoever asks looks itself."""
CONNECT_S = 5
_RING = text(f"SELECT pg_notify('{CHANNEL}', '')")
log = logging.getLogger(__name__)


def ring(connection: Connection) -> None:
    """Wake up, with the commit, whoever waits for a change. Only PostgreSQL can."""
    if connection.dialect.name == "postgresql":
        connection.execute(_RING)


class Bell:
    """The connection of a process that hears PostgreSQL's notifications, and the thread that waits on it."""

    def __init__(self, url: URL) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._changed = threading.Condition()
        self._calls: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self._pipe = (-1, -1)
        """The end of the second is heard at the first: it ends a wait for the database."""
        self._ends = False
        self.n_rings = 0
        self.listens = False
        """False: rings may be missed now."""

    def start(self) -> None:
        """Begin to listen; once more changes nothing."""
        with self._changed:
            if self._thread is None and not self._ends:
                self._pipe = os.pipe()
                self._thread = threading.Thread(target=self._run, name="s2e-bell", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        with self._changed:
            thread, self._thread, self._ends = self._thread, None, True
        if thread is not None:
            os.close(self._pipe[1])
            thread.join(CONNECT_S)

    def wait(self, seen: int, seconds: float) -> None:
        """Until there are more rings than ``seen``, at most for ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: self.n_rings != seen, seconds)

    @contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Let each ring call this, in the bell's thread."""
        with self._changed:
            self._calls.append(call)
        try:
            yield
        finally:
            with self._changed:
                self._calls.remove(call)

    def _run(self) -> None:
        while not self._ends:
            try:
                with closing(psycopg.connect(self._address, autocommit=True, connect_timeout=CONNECT_S)) as connection:
                    self._listen(connection)
            except (psycopg.Error, OSError) as error:
                log.info("no notifications of the database: %s", type(error).__name__)
            self.listens = False
            heard([self._pipe[0]], AGAIN_S)
        os.close(self._pipe[0])

    def _listen(self, connection: psycopg.Connection) -> None:
        connection.execute(f"LISTEN {CHANNEL}")
        self._ring()  # what happened before was not heard
        self.listens = True
        while not self._ends:
            if not heard([connection.fileno(), self._pipe[0]], QUIET_S):
                connection.execute("SELECT 1")
            for _ in connection.notifies(timeout=0):
                self._ring()

    def _ring(self) -> None:
        with self._changed:
            self.n_rings += 1
            self._changed.notify_all()
            for call in self._calls:
                call()


def heard(files: Sequence[int], seconds: float) -> bool:
    """True as soon as one of these open files has something to read. Any number of files may be open, as in an api with
    many event streams, where ``select.select`` refuses those beyond the 1,023rd."""
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        return bool(selector.select(seconds))


class Watch:
    """Says if a database may have changed, without a question to it where that can be known otherwise. It may miss a
    change (two within one tick of a file system's clock, a notification that went astray), so it is a reason to look at
    once and none to never look."""

    def __init__(self, url: URL, bell: Bell | None) -> None:
        is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        self._log = Path(f"{url.database}-wal") if is_file else None
        self._bell = bell
        self._seen: object = None
        self._n_rings = 0

    def changed(self) -> bool:
        """True if something may have been written since this was asked last."""
        if self._bell is not None:
            return self._rang(self._bell)
        if self._log is None:
            return True
        seen = None
        with suppress(FileNotFoundError):  # nobody has written since the last one who had it open closed it
            about = self._log.stat()
            seen = about.st_mtime_ns, about.st_size, about.st_ino
        before, self._seen = self._seen, seen
        return before != seen

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """For so long, or until a change that is told; true if ``stop`` is set."""
        if self._bell is None:
            return stop.wait(seconds)
        self._bell.start()
        self._bell.wait(self._n_rings, seconds)
        return stop.is_set()

    @contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Let each change that is told call this, in another thread."""
        if self._bell is None:
            yield
            return
        self._bell.start()
        with self._bell.calling(call):
            yield

    def _rang(self, bell: Bell) -> bool:
        bell.start()
        before, self._n_rings = self._n_rings, bell.n_rings
        return before != self._n_rings or not bell.listens
