"""Bounds the large results that are in transit to one client; further ones stay in Redis until it has read some."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from cluster.store.record import Record


class SendWindow:
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
