"""A closed connection sends what was written before, but does not wait for its client for ever."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from graphql_api.transport import bounded_close
from graphql_api.transport.bounded_close import BoundedCloseTransport


class RecordingTransport:
    """A transport with `unsent` bytes in its buffer, which records what is done to it."""

    def __init__(self, unsent: int) -> None:
        self.unsent = unsent
        self.calls: list[str] = []
        self.aborted = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.calls.append(f"write {data.decode()}")

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
    return BoundedCloseTransport(cast(asyncio.Transport, inner), "connection of a test")


async def test_a_closed_connection_is_aborted_if_its_client_does_not_read_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_close, "CLOSE_SECONDS", 0.01)
    inner = RecordingTransport(unsent=10)
    transport = wrapped(inner)
    transport.write(b"last")
    transport.close()
    assert inner.calls == ["write last", "close"]
    await asyncio.wait_for(inner.aborted.wait(), 5)


async def test_a_closed_connection_with_nothing_unsent_needs_no_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_close, "CLOSE_SECONDS", 0.0)
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
