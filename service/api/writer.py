"""The one writer of an api process for asks and reports of external trainers: those that wait are committed together.

While one batch is written, the next one gathers; and who has just been answered and comes back at once, as busy
trainers do, is waited for, for a share of the time that writing takes. So the busier the service is, the more orders
share the cost of a transaction, and no order waits for a lock that another request of the same process holds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from service.errors import Unavailable
from service.store.engine import Database
from service.store.orders import Answer, Order, carry_out
from service.store.outage import OUTAGES, reason_of
from service.store.together import together

MOST_TOGETHER = 128
"""Orders of one transaction."""
MOST_WAITING = 512
"""Orders that may wait; further ones are told to come back later."""
GAP = 0.25
"""Without another order for this share of the time that the last batch took, nobody comes back at once."""
log = logging.getLogger(__name__)
Outcome = Answer | Exception


class Writer:
    """A queue and a thread. Its coroutines belong to one event loop."""

    def __init__(
        self,
        database: Database,
        max_attempts: int,
        most_waiting: int = MOST_WAITING,
        on_failed: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_failed`` is called when a batch could not be written as one."""
        self._database, self._max_attempts, self._most_waiting = database, max_attempts, most_waiting
        self._on_failed = on_failed
        self._thread = ThreadPoolExecutor(1, "s2e-writer")
        self._waiting: list[tuple[Order, asyncio.Future[Answer]]] = []
        self._drain: asyncio.Task[None] | None = None
        self._expected = 0
        """Orders that were there at the end of the last batch, answered or waiting."""
        self._enough = asyncio.Event()
        self._took_s = self._answered_s = 0.0
        """Time that the last batch took, and time of its answers."""

    async def carry_out(self, order: Order) -> Answer:
        """The answer, once it is committed. Raises the database's errors, and Unavailable when too many wait."""
        if len(self._waiting) >= self._most_waiting:
            raise Unavailable(f"{len(self._waiting)} reports wait to be written; nothing was changed, send it again")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((order, answer))
        if len(self._waiting) >= self._expected:
            self._enough.set()
        if self._drain is None:
            self._drain = asyncio.create_task(self._write_all())
        return await answer

    def close(self) -> None:
        self._thread.shutdown()

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                batch, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
                began_s = time.monotonic()
                outcomes = await self._outcomes([order for order, _ in batch])
                for (_, answer), outcome in zip(batch, outcomes, strict=True):
                    if answer.done():  # who asked has left
                        continue
                    if isinstance(outcome, Exception):
                        answer.set_exception(outcome)
                    else:
                        answer.set_result(outcome)
                self._expected, self._answered_s = len(batch) + len(self._waiting), time.monotonic()
                self._took_s = self._answered_s - began_s
        finally:
            self._drain = None

    async def _gather(self) -> None:
        """Wait for those that come back at once, as long as they come."""
        n = 0
        while n < len(self._waiting) < self._expected and time.monotonic() - self._answered_s < self._took_s:
            n = len(self._waiting)
            self._enough.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(GAP * self._took_s):
                    await self._enough.wait()

    async def _outcomes(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        loop = asyncio.get_running_loop()
        try:
            about = self._database, orders, self._max_attempts, self._on_failed
            return await loop.run_in_executor(self._thread, write, *about)
        except RuntimeError as error:  # the process is ending
            log.warning("%d orders were not written: %s", len(orders), error)
            return [Unavailable("the service is being stopped; nothing was changed, send it again")] * len(orders)


def write(
    database: Database, orders: Sequence[Order], max_attempts: int, on_failed: Callable[[], None] = lambda: None
) -> list[Outcome]:
    """The outcome of each order: the plain ones in one transaction, every other one in its own. Where that transaction
    fails for another reason than an outage, ``on_failed`` is called, and all have their own."""
    answers: dict[Order, Outcome] = {}
    try:
        with database.write() as session:
            done = together(session, orders)
        answers |= done
    except OUTAGES as error:
        if reason_of(error) is not None:
            return [error] * len(orders)
        _tell_failed(on_failed)
    except Exception:
        _tell_failed(on_failed)
    return [answers[order] if order in answers else _alone(database, order, max_attempts) for order in orders]


def _tell_failed(on_failed: Callable[[], None]) -> None:
    log.exception("a batch of orders failed; each is tried alone")
    on_failed()


def _alone(database: Database, order: Order, max_attempts: int) -> Outcome:
    try:
        with database.write() as session:
            return carry_out(session, order, max_attempts)
    except Exception as error:
        return error
