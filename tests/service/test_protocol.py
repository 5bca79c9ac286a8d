"""Answers on the wire: head and body together, in order, and nothing held back."""

from __future__ import annotations

import asyncio

from service.api.protocol import MOST_GATHERED, Gathered


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def write_eof(self) -> None:
        self.told.append("eof")

    def close(self) -> None:
        self.told.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.told


def test_what_is_written_in_one_turn_is_sent_at_once_and_before_an_end() -> None:
    async def program() -> list[bytes | str]:
        wire = Wire()
        transport = Gathered(wire, asyncio.get_running_loop())
        transport.write(b"head ")
        transport.write(b"body")
        assert wire.told == []
        await asyncio.sleep(0)
        transport.write(b"event")
        await asyncio.sleep(0)
        transport.write(b"half")
        transport.write(bytes(MOST_GATHERED))
        assert len(wire.told) == 3  # much is not held back: the transport may have to say that it is too much
        transport.write(b"last")
        transport.write_eof()
        transport.write(b"words")
        transport.close()
        assert transport.is_closing()
        await asyncio.sleep(0)
        return wire.told

    told = asyncio.run(program())
    assert told == [b"head body", b"event", b"half" + bytes(MOST_GATHERED), b"last", "eof", b"words", "closed"]
