"""Load on a service: a raw asyncio HTTP client that costs little beside the server, and trials through it.

One trial is what an external trainer does: claim, one report for each of ten epochs, finish.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

N_EPOCHS = 10


class Connection:
    """One keep-alive connection to a service on this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(self, method: str, path: str, body: Any = None, headers: str = "") -> tuple[int, bytes, str]:
        """Status, body and raw headers."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self._reader is not None
        data = b"" if body is None else json.dumps(body).encode()
        kind = "" if body is None else "Content-Type: application/json\r\n"
        head = (
            f"{method} /api/v1{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{kind}{headers}Content-Length: {len(data)}\r\n\r\n"
        )
        self._writer.write(head.encode() + data)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lower = answer.lower()
        if "transfer-encoding: chunked" in lower:
            return int(answer[9:12]), await self._chunks(), answer
        length = int(lower.partition("content-length:")[2].partition("\r\n")[0] or 0)
        return int(answer[9:12]), await self._reader.readexactly(length), answer

    async def _chunks(self) -> bytes:
        assert self._reader is not None
        chunks = []
        while size := int((await self._reader.readline()).strip(), 16):
            chunks.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(chunks)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


@dataclass
class Tally:
    """Everything the clients of one run saw."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of every answered request, by its kind."""
    statuses: Counter[int] = field(default_factory=Counter)
    leased: list[str] = field(default_factory=list)
    """The trial of every lease that was handed out. (A lease itself is a new secret each time.)"""
    n_trials: int = 0


class Client:
    """One trainer. A 503 is honoured: it waits for as long as the service says and sends the same again."""

    def __init__(self, port: int, job_id: str, tally: Tally) -> None:
        self._connection, self._job_id, self._tally = Connection(port), job_id, tally

    async def ask(self, n_trials: int = 1) -> list[dict[str, Any]]:
        answer = await self._post("claim", f"/jobs/{self._job_id}/trials:ask", {"n_trials": n_trials})
        trials: list[dict[str, Any]] = answer["trials"]
        self._tally.leased += [trial["id"] for trial in trials]
        return trials

    async def train(self, per_call: int = 1) -> bool:
        """One trial from claim to finish, ``per_call`` epochs in one report; False when none was left."""
        trials = await self.ask()
        for trial in trials:
            for first in range(0, N_EPOCHS, per_call):
                await self._report(trial, range(first, min(first + per_call, N_EPOCHS)))
            await self._post("finish", f"/trials/{trial['id']}/result", {"lease": trial["lease"]})
            self._tally.n_trials += 1
        return bool(trials)

    async def _report(self, trial: dict[str, Any], epochs: Sequence[int]) -> None:
        rows = [{"epoch": t, "validation_accuracy": 0.9, "test_accuracy": 0.89, "loss": 0.4} for t in epochs]
        await self._post("report", f"/trials/{trial['id']}/epochs", {"lease": trial["lease"], "epochs": rows})

    async def _post(self, kind: str, path: str, body: Any) -> Any:
        while True:
            began_s = time.perf_counter()
            status, answer, head = await self._connection.request("POST", path, body)
            self._tally.statuses[status] += 1
            if status == 200:
                self._tally.seconds[kind].append(time.perf_counter() - began_s)
                return json.loads(answer)
            if status != 503:
                raise RuntimeError(f"{path} answered {status}: {answer.decode()}")
            await asyncio.sleep(float(head.lower().partition("retry-after:")[2].partition("\r\n")[0]))

    def close(self) -> None:
        self._connection.close()


def run_trials(ports: Sequence[int], job_id: str, n_clients: int, n_trials: int) -> tuple[Tally, float]:
    """``n_trials`` trials by ``n_clients`` clients, spread over the ports; what they saw, and the seconds it took."""

    async def one(client: Client, left: list[int]) -> None:
        while left:
            left.pop()
            await client.train()

    async def every() -> float:
        left, clients = list(range(n_trials)), [Client(ports[i % len(ports)], job_id, tally) for i in range(n_clients)]
        began_s = time.perf_counter()
        await asyncio.gather(*(one(client, left) for client in clients))
        took_s = time.perf_counter() - began_s
        for client in clients:
            client.close()
        return took_s

    tally = Tally()
    return tally, asyncio.run(every())


def run_claims(ports: Sequence[int], job_id: str, n_clients: int, per_ask: int) -> tuple[Tally, float]:
    """Claims alone, until no trial of the job is left."""

    async def one(client: Client) -> None:
        while await client.ask(per_ask):
            pass
        client.close()

    async def every() -> float:
        began_s = time.perf_counter()
        await asyncio.gather(*(one(Client(ports[i % len(ports)], job_id, tally)) for i in range(n_clients)))
        return time.perf_counter() - began_s

    tally = Tally()
    return tally, asyncio.run(every())
