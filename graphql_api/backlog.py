"""Slow clients: large results in transit are bounded per client, and connections that are not read are ended.

Up to a bound, results are in transit to a client; further ones stay in Redis until it has read some. On every transport
a connection is ended if its client hardly reads, as it would hold its buffers for as long as the client likes.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from cluster.observability import metrics
from cluster.store.record import Record

logger = logging.getLogger(__name__)

SLOW_SECONDS: Final = 25.0
"""Period over which a client's reading speed is measured."""
SLOW_BYTES_PER_SECOND: Final = 4_096
"""A client that reads more slowly than this is disconnected."""
SETTLE_SECONDS: Final = 0.5
"""Delay between a full buffer and the first measurement: the rest of a long message may follow."""
SOCKET_BUFFER_FACTOR: Final = 8
"""The bound on all buffered messages of a socket, those of queries too, as a multiple of the bound on results."""

_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Backlog:
    """The large results in transit to one client.

    Args:
        limit_bytes: once this many bytes are in transit, the next result is read only when there is room, in order.
    """

    __slots__ = ("_bytes", "_limit", "_room", "_turns")

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._bytes = 0
        self._turns = asyncio.Lock()
        self._room = asyncio.Event()

    @asynccontextmanager
    async def result(self, read: Callable[[], Awaitable[Record]]) -> AsyncIterator[Record]:
        """Waits for its turn and for room, reads a large result with `read`, and counts it until the block ends."""
        async with self._turns:
            while self._bytes >= self._limit:
                self._room.clear()
                await self._room.wait()
            record = await read()
            size = len(record.result or b"")
            self._bytes += size
        try:
            yield record
        finally:
            self._bytes -= size
            self._room.set()


class SlowReader:
    """Watches one connection while its write buffer is full, and ends it if its client does not read."""

    __slots__ = ("_size", "_timer", "_transport", "_what")

    def __init__(self, transport: asyncio.Transport, what: str) -> None:
        self._transport = transport
        self._what = what
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def pause(self) -> None:
        """Starts watching: the transport's buffer is full."""
        self.resume()
        self._timer = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._measure)

    def resume(self) -> None:
        """Stops watching: the buffer has room again, or the connection is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _measure(self) -> None:
        self._size = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._judge)

    def _judge(self) -> None:
        taken = self._size - self._transport.get_write_buffer_size()
        if taken >= SLOW_SECONDS * SLOW_BYTES_PER_SECOND:
            self._measure()
            return
        self._timer = None
        end(self._transport, f"{self._what} whose client read {max(0, taken)} bytes in {SLOW_SECONDS:g} s")


def end(transport: asyncio.Transport, what: str) -> None:
    """Aborts a connection: closing it would wait for the client to read."""
    if transport.is_closing() and not transport.get_write_buffer_size():
        return
    metrics.SLOW_READERS.inc()
    if (connection := transport.get_extra_info("socket")) is not None:
        # Otherwise the kernel would try for hours to send its buffer of up to some megabytes.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    logger.info("aborted %s; %d bytes were not read", what, transport.get_write_buffer_size())
    transport.abort()
