"""Sends what waits for webhooks: a thread of the dispatcher's process, and one for each message that is on its way.

A receiver is sent one message at a time, so one that is slow to answer holds up none but its own. Two dispatchers share
the work.
"""

from __future__ import annotations

import logging
import threading

from service import webhooks
from service.logs import about
from service.store import webhooks as stored
from service.store.engine import Database
from service.store.outage import OUTAGES

LOOK_S = 1.0
QUIET_S = 5.0
"""Longest time without a look, where it can be seen that nobody writes: a message may be due again."""
FORGET_S = 3600.0
MOST_AT_ONCE = 16
"""Receivers that are sent something at the same time."""

log = logging.getLogger("s2e.webhooks")


class Courier:
    """Sends messages, each once or until it is taken; a message whose courier died is sent again."""

    def __init__(self, database: Database, allowed: tuple[webhooks.Network, ...]) -> None:
        self._database, self._allowed = database, allowed
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        """Webhooks that a message is on its way to."""
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Without waiting for an answer that is slow to come: that message is sent again."""
        self._stop.set()
        self._thread.join(LOOK_S)

    def round(self) -> int:
        """Send what is due, one message to each receiver, and wait for their answers; how many messages that were."""
        sent = self._begin()
        for thread in sent:
            thread.join()
        return len(sent)

    def _begin(self) -> list[threading.Thread]:
        """Send what is due to receivers that nothing is on its way to."""
        with self._lock:
            busy = frozenset(self._busy)
        free = MOST_AT_ONCE - len(busy)
        if free <= 0:
            return []
        with self._database.write() as session:
            messages = stored.claim_due(session, free, busy)
        with self._lock:
            self._busy |= {message.webhook_id for message in messages}
        # Daemons: the end of this process waits for no answer.
        sent = [threading.Thread(target=self._send, args=(message,), daemon=True) for message in messages]
        for thread in sent:
            thread.start()
        return sent

    def _send(self, message: stored.Message) -> None:
        try:
            answer = webhooks.send(message.url, message.secret, message.id, message.body, self._allowed)
            with self._database.write() as session:
                stored.record(session, message.id, answer.taken, answer.words)
            log.info("webhook", extra=about(delivery=message.id, taken=answer.taken, answer=answer.words))
        except OUTAGES as error:  # nobody knows that it was sent: it is sent again
            log.warning("what came of a webhook is not written: %s", type(error).__name__)
        except Exception:
            log.exception("a webhook failed")
        finally:
            with self._lock:
                self._busy.discard(message.webhook_id)

    def _run(self) -> None:
        waited_s, quiet_s, watch = FORGET_S, QUIET_S, self._database.watch()
        while not self._stop.is_set():
            try:
                if waited_s >= FORGET_S:
                    waited_s = 0.0
                    with self._database.write() as session:
                        stored.forget_old(session)
                quiet_s = 0.0 if watch.changed() or quiet_s >= QUIET_S else quiet_s + LOOK_S
                if quiet_s == 0.0 and self._is_due() and self._begin():
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
