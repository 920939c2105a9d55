"""Writes of one turn of the event loop leave together, in order, and none is lost at a close."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_api.transport import write_coalescing as module
from graphql_api.transport.write_coalescing import FULL, WriteCoalescer


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self, unsent: int = 0) -> None:
        self.writes: list[bytes] = []
        self.closing = False
        self.unsent = unsent
        self.aborted = asyncio.Event()

    def write(self, data: bytes) -> None:
        assert not self.closing
        self.writes.append(data)

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted.set()

    def get_extra_info(self, name: str) -> str | None:
        return None if name == "socket" else f"its {name}"


def corked(wire: Wire) -> Any:
    return WriteCoalescer(cast(asyncio.Transport, wire))


async def test_writes_of_one_turn_are_one_write() -> None:
    wire = Wire()
    transport = corked(wire)
    transport.write(b"next ")
    transport.write(b"complete")
    assert wire.writes == []
    await asyncio.sleep(0)
    assert wire.writes == [b"next complete"]
    transport.write(b"again")
    await asyncio.sleep(0)
    assert wire.writes == [b"next complete", b"again"]


async def test_a_close_whose_client_does_not_read_the_rest_is_an_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.01)
    wire = Wire(unsent=10)
    corked(wire).close()
    assert wire.closing
    await asyncio.wait_for(wire.aborted.wait(), 5)


async def test_much_is_sent_at_once_so_that_a_slow_reader_is_felt() -> None:
    wire = Wire()
    transport = corked(wire)
    transport.write(b"a" * FULL)
    transport.write(b"b")
    assert wire.writes == [b"a" * FULL + b"b"]
    await asyncio.sleep(0)
    assert len(wire.writes) == 1


async def test_a_close_comes_after_what_was_written() -> None:
    wire = Wire()
    transport = corked(wire)
    transport.write(b"last")
    transport.close()
    assert (wire.writes, wire.closing) == ([b"last"], True)
    await asyncio.sleep(0)
    assert wire.writes == [b"last"]


async def test_nothing_is_written_to_a_connection_that_was_lost_meanwhile() -> None:
    wire = Wire()
    transport = corked(wire)
    transport.write(b"too late")
    wire.closing = True
    await asyncio.sleep(0)
    assert wire.writes == []
    assert transport.get_extra_info("peername") == "its peername"


@given(st.lists(st.one_of(st.none(), st.binary(max_size=FULL // 2))))
def test_every_byte_arrives_in_order(steps: list[bytes | None]) -> None:
    """`None` is the end of a turn."""

    async def body() -> None:
        wire = Wire()
        transport = corked(wire)
        for step in steps:
            if step is None:
                await asyncio.sleep(0)
            else:
                transport.write(step)
        transport.close()
        assert b"".join(wire.writes) == b"".join(step for step in steps if step is not None)

    asyncio.run(body())
