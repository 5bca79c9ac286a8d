"""Sends the messages that wait for webhooks: a thread of the dispatcher's process. Two dispatchers share the work."""

from __future__ import annotations

import logging
import threading

from service import webhooks
from service.logs import about
from service.store import webhooks as stored
from service.store.engine import Database
from service.store.outage import OUTAGES

LOOK_S = 1.0
FORGET_S = 3600.0

log = logging.getLogger("s2e.webhooks")


class Courier:
    """Sends messages, each once or until it is taken; a message whose courier died is sent again."""

    def __init__(self, database: Database, allowed: tuple[webhooks.Network, ...]) -> None:
        self._database, self._allowed = database, allowed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Without waiting for an answer that is slow to come: that message is sent again."""
        self._stop.set()
        self._thread.join(LOOK_S)

    def round(self) -> int:
        """Send the messages that are due, and count them."""
        with self._database.write() as session:
            messages = stored.claim_due(session)
        for message in messages:
            if self._stop.is_set():
                break
            answer = webhooks.send(message.url, message.secret, message.id, message.body, self._allowed)
            with self._database.write() as session:
                stored.record(session, message.id, answer.taken, answer.words)
            log.info("webhook", extra=about(delivery=message.id, taken=answer.taken, answer=answer.words))
        return len(messages)

    def _run(self) -> None:
        waited_s = FORGET_S
        while not self._stop.is_set():
            try:
                if waited_s >= FORGET_S:
                    waited_s = 0.0
                    with self._database.write() as session:
                        stored.forget_old(session)
                if self._is_due() and self.round():
                    continue
            except OUTAGES as error:  # the messages wait in the database
                log.warning("no webhooks are sent: %s", type(error).__name__)
            except Exception:
                log.exception("a round of webhooks failed")
            self._stop.wait(LOOK_S)
            waited_s += LOOK_S

    def _is_due(self) -> bool:
        """A look that takes no lock: nearly always nothing is."""
        with self._database.read() as session:
            return stored.has_due(session)
