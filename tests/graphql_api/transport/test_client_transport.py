"""Writes of one turn of the event loop are joined in order; a closed connection sends what was written before, but does
not wait for its client for ever."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_api.transport import client_transport
from graphql_api.transport.client_transport import FLUSH_BYTES, ClientTransport


class RecordingTransport:
    """A transport with `unsent` bytes in its buffer, which records what is done to it."""

    def __init__(self, unsent: int = 0) -> None:
        self.unsent = unsent
        self.calls: list[str] = []
        self.written: list[bytes] = []
        self.aborted = asyncio.Event()

    def write(self, data: bytes) -> None:
        assert not self.is_closing()
        self.calls.append("write")
        self.written.append(data)

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def close(self) -> None:
        self.calls.append("close")

    def is_closing(self) -> bool:
        return "close" in self.calls

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted.set()

    def get_extra_info(self, name: str) -> str | None:
        return None if name == "socket" else f"its {name}"


def wrapped(inner: RecordingTransport) -> Any:
    return ClientTransport(cast(asyncio.Transport, inner), "connection of a test")


async def test_writes_of_one_turn_are_joined() -> None:
    inner = RecordingTransport()
    transport = wrapped(inner)
    transport.write(b"next ")
    transport.write(b"complete")
    assert inner.written == []
    await asyncio.sleep(0)
    assert inner.written == [b"next complete"]
    transport.write(b"again")
    await asyncio.sleep(0)
    assert inner.written == [b"next complete", b"again"]


async def test_large_writes_are_sent_at_once_so_that_a_slow_reader_is_noticed() -> None:
    inner = RecordingTransport()
    transport = wrapped(inner)
    transport.write(b"a" * FLUSH_BYTES)
    transport.write(b"b")
    assert inner.written == [b"a" * FLUSH_BYTES + b"b"]
    await asyncio.sleep(0)
    assert len(inner.written) == 1


@pytest.mark.parametrize("end", ["close", "write_eof"])
async def test_an_end_is_after_what_was_written_before(end: str) -> None:
    inner = RecordingTransport()
    transport = wrapped(inner)
    transport.write(b"last")
    getattr(transport, end)()
    assert (inner.calls, inner.written) == (["write", end], [b"last"])
    await asyncio.sleep(0)
    assert inner.written == [b"last"]


async def test_what_is_written_to_a_connection_that_was_lost_is_dropped() -> None:
    inner = RecordingTransport()
    transport = wrapped(inner)
    transport.write(b"too late")
    inner.close()
    transport.write(b"later")
    await asyncio.sleep(0)
    assert inner.written == []


@given(st.lists(st.one_of(st.none(), st.binary(max_size=FLUSH_BYTES // 2))))
def test_every_byte_arrives_in_order(steps: list[bytes | None]) -> None:
    """`None` is the end of a turn."""

    async def body() -> None:
        inner = RecordingTransport()
        transport = wrapped(inner)
        for step in steps:
            if step is None:
                await asyncio.sleep(0)
            else:
                transport.write(step)
        transport.close()
        assert b"".join(inner.written) == b"".join(step for step in steps if step is not None)

    asyncio.run(body())


async def test_a_closed_connection_is_aborted_if_its_client_does_not_read_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_transport, "CLOSE_SECONDS", 0.01)
    inner = RecordingTransport(unsent=10)
    transport = wrapped(inner)
    transport.write(b"last")
    transport.close()
    assert inner.calls == ["write", "close"]
    await asyncio.wait_for(inner.aborted.wait(), 5)


async def test_a_closed_connection_with_nothing_unsent_needs_no_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_transport, "CLOSE_SECONDS", 0.0)
    inner = RecordingTransport(unsent=0)
    wrapped(inner).close()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not inner.aborted.is_set()


async def test_what_is_written_to_a_closed_connection_is_dropped() -> None:
    inner = RecordingTransport(unsent=0)
    transport = wrapped(inner)
    transport.close()
    transport.write(b"too late")
    assert inner.calls == ["close"]


async def test_everything_else_is_the_transports_own() -> None:
    assert wrapped(RecordingTransport(0)).get_extra_info("peername") == "its peername"
