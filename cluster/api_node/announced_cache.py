"""A table in Redis, as an api node knows it: read at each change that is announced, and every few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Generic, TypeVar

from cluster.system.background import BackgroundLoop

T = TypeVar("T")

REFRESH_SECONDS: Final = 5.0
"""Interval at which it is read if no change was announced."""


class AnnouncedCache(Generic[T]):
    """The newest table that was read.

    Args:
        name: of the background loop.
        message: announces a change on the channel of all nodes.
        read: reads the whole table.
        empty: the table until it has been read.
        on_change: called when it has changed.

    Attributes:
        value: the table.
        is_read: whether it has been read at all.
    """

    def __init__(
        self,
        name: str,
        message: str,
        read: Callable[[], Awaitable[T]],
        empty: T,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.value = empty
        self.is_read = False
        self.loop = BackgroundLoop(name, self._wait_and_refresh)
        self._message = message
        self._read = read
        self._on_change = on_change
        self._changed = asyncio.Event()

    def on_broadcast(self, message: str) -> None:
        """Handles a message to all nodes."""
        if message == self._message:
            self._changed.set()

    async def refresh(self) -> T:
        """Reads the table now, and returns it.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        found = await self._read()
        self.is_read = True
        if found != self.value:
            self.value = found
            self._on_change()
        return found

    async def _wait_and_refresh(self) -> None:
        self._changed.clear()
        await self.refresh()
        with suppress(TimeoutError):
            async with asyncio.timeout(REFRESH_SECONDS):
                await self._changed.wait()
