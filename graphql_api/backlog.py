"""What waits for a client that reads slowly: bounded in bytes, and ended when it does not move.

Results are on their way to one client up to a bound; further ones stay in Redis until it has read. A connection whose
client takes next to nothing of what waits for it is ended, on every transport: its buffers would be held for as long as
the client likes.
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
"""How long a client may take next to nothing of what waits for it."""
SLOW_BYTES_PER_SECOND: Final = 4_096
"""What counts as next to nothing."""
SETTLE_SECONDS: Final = 0.5
"""From the moment when a connection takes nothing more until what waits is measured: a long message may follow."""
SOCKET_BUFFER_FACTOR: Final = 8
"""Times the bound on results that all messages of a socket may wait with, those of queries too."""

_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Backlog:
    """Long results on their way to one client.

    Args:
        limit_bytes: most of them, and one more; further ones are read when there is room, in their order.
    """

    __slots__ = ("_bytes", "_limit", "_room", "_turns")

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._bytes = 0
        self._turns = asyncio.Lock()
        self._room = asyncio.Event()

    @asynccontextmanager
    async def result(self, read: Callable[[], Awaitable[Record]]) -> AsyncIterator[Record]:
        """Around what sends a long result, which is read when its turn has come."""
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
    """Watches one connection while its transport takes nothing more, and ends it if its client does not read."""

    __slots__ = ("_size", "_timer", "_transport", "_what")

    def __init__(self, transport: asyncio.Transport, what: str) -> None:
        self._transport = transport
        self._what = what
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def pause(self) -> None:
        """The transport's buffer is full."""
        self.resume()
        self._timer = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._measure)

    def resume(self) -> None:
        """It has room again, or is gone."""
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
        end(self._transport, f"{self._what} whose client took {max(0, taken)} bytes in {SLOW_SECONDS:g} s")


def end(transport: asyncio.Transport, what: str) -> None:
    """Ends a connection at once: to close it would wait for the client to read."""
    if transport.is_closing() and not transport.get_write_buffer_size():
        return
    metrics.SLOW_READERS.inc()
    if (connection := transport.get_extra_info("socket")) is not None:
        # Or the kernel would go on for hours to send what it has, up to some megabytes.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    logger.info("%s is ended; %d bytes were not read", what, transport.get_write_buffer_size())
    transport.abort()
