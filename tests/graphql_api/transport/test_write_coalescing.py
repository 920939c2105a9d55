"""Writes of one turn of the event loop are joined in order, and a close loses none of them."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_api.transport import write_coalescing as module
from graphql_api.transport.write_coalescing import FLUSH_BYTES, WriteCoalescer


class RecordingTransport:
    """A transport that records what is written."""

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


def coalescing(inner: RecordingTransport) -> Any:
    return WriteCoalescer(cast(asyncio.Transport, inner))


async def test_writes_of_one_turn_are_joined() -> None:
    inner = RecordingTransport()
    transport = coalescing(inner)
    transport.write(b"next ")
    transport.write(b"complete")
    assert inner.writes == []
    await asyncio.sleep(0)
    assert inner.writes == [b"next complete"]
    transport.write(b"again")
    await asyncio.sleep(0)
    assert inner.writes == [b"next complete", b"again"]


async def test_a_closed_connection_is_aborted_if_its_client_does_not_read_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.01)
    inner = RecordingTransport(unsent=10)
    coalescing(inner).close()
    assert inner.closing
    await asyncio.wait_for(inner.aborted.wait(), 5)


async def test_large_writes_are_sent_at_once_so_that_a_slow_reader_is_noticed() -> None:
    inner = RecordingTransport()
    transport = coalescing(inner)
    transport.write(b"a" * FLUSH_BYTES)
    transport.write(b"b")
    assert inner.writes == [b"a" * FLUSH_BYTES + b"b"]
    await asyncio.sleep(0)
    assert len(inner.writes) == 1


async def test_a_close_sends_what_was_written_before() -> None:
    inner = RecordingTransport()
    transport = coalescing(inner)
    transport.write(b"last")
    transport.close()
    assert (inner.writes, inner.closing) == ([b"last"], True)
    await asyncio.sleep(0)
    assert inner.writes == [b"last"]


async def test_nothing_is_written_to_a_connection_that_was_lost() -> None:
    inner = RecordingTransport()
    transport = coalescing(inner)
    transport.write(b"too late")
    inner.closing = True
    await asyncio.sleep(0)
    assert inner.writes == []
    assert transport.get_extra_info("peername") == "its peername"


@given(st.lists(st.one_of(st.none(), st.binary(max_size=FLUSH_BYTES // 2))))
def test_every_byte_arrives_in_order(steps: list[bytes | None]) -> None:
    """`None` is the end of a turn."""

    async def body() -> None:
        inner = RecordingTransport()
        transport = coalescing(inner)
        for step in steps:
            if step is None:
                await asyncio.sleep(0)
            else:
                transport.write(step)
        transport.close()
        assert b"".join(inner.writes) == b"".join(step for step in steps if step is not None)

    asyncio.run(body())
