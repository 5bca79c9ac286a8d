"""The one writer of an api process for asks and reports of external trainers: those that wait are committed together.

While one batch is written, the next one gathers. So the busier the service is, the more orders share the cost of a
transaction, and no order waits for a lock that another request of the same process holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from service.errors import Unavailable
from service.store.engine import Database
from service.store.orders import Answer, Order, carry_out
from service.store.outage import OUTAGES, reason_of
from service.store.together import together

MOST_TOGETHER = 128
"""Orders of one transaction."""
MOST_WAITING = 512
"""Orders that may wait; further ones are told to come back later."""
log = logging.getLogger(__name__)
Outcome = Answer | Exception


class Writer:
    """A queue and a thread. Its coroutines belong to one event loop."""

    def __init__(self, database: Database, max_attempts: int, most_waiting: int = MOST_WAITING) -> None:
        self._database, self._max_attempts, self._most_waiting = database, max_attempts, most_waiting
        self._thread = ThreadPoolExecutor(1, "s2e-writer")
        self._waiting: list[tuple[Order, asyncio.Future[Answer]]] = []
        self._drain: asyncio.Task[None] | None = None

    async def carry_out(self, order: Order) -> Answer:
        """The answer, once it is committed. Raises the database's errors, and Unavailable when too many wait."""
        if len(self._waiting) >= self._most_waiting:
            raise Unavailable(f"{len(self._waiting)} reports wait to be written; nothing was changed, send it again")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((order, answer))
        if self._drain is None:
            self._drain = asyncio.create_task(self._write_all())
        return await answer

    def close(self) -> None:
        self._thread.shutdown()

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
                outcomes = await self._outcomes([order for order, _ in batch])
                for (_, answer), outcome in zip(batch, outcomes, strict=True):
                    if answer.done():  # who asked has left
                        continue
                    if isinstance(outcome, Exception):
                        answer.set_exception(outcome)
                    else:
                        answer.set_result(outcome)
        finally:
            self._drain = None

    async def _outcomes(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, write, self._database, orders, self._max_attempts)
        except RuntimeError as error:  # the process is ending
            log.warning("%d orders were not written: %s", len(orders), error)
            return [Unavailable("the service is being stopped; nothing was changed, send it again")] * len(orders)


def write(database: Database, orders: Sequence[Order], max_attempts: int) -> list[Outcome]:
    """The outcome of each order: the plain ones in one transaction, every other one in its own."""
    answers: dict[Order, Outcome] = {}
    try:
        with database.write() as session:
            done = together(session, orders)
        answers |= done
    except OUTAGES as error:
        if reason_of(error) is not None:
            return [error] * len(orders)
        log.exception("a batch of orders failed; each is tried alone")
    except Exception:
        log.exception("a batch of orders failed; each is tried alone")
    return [answers[order] if order in answers else _alone(database, order, max_attempts) for order in orders]


def _alone(database: Database, order: Order, max_attempts: int) -> Outcome:
    try:
        with database.write() as session:
            return carry_out(session, order, max_attempts)
    except Exception as error:
        return error
