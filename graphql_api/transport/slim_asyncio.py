"""An event and a queue that cost an idle WebSocket a fraction of what asyncio's cost."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

TURN_SECONDS: Final = 0.01
"""How long messages of one client may be taken in a row before others are served."""


class SlimEvent:
    """An asyncio.Event without the deque that each of those keeps, half a kilobyte."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        waiters, self._waiters = self._waiters, None
        for future in waiters or ():
            if not future.done():
                future.set_result(None)

    def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> bool:
        while not self._is_set:
            future = asyncio.get_running_loop().create_future()
            self._waiters = [*(self._waiters or ()), future]
            await future
        return True


class SlimQueue:
    """An unbounded asyncio.Queue for one reader, without the three deques inside that.

    It stays short: uvicorn stops reading from the client while a message is in it.
    """

    __slots__ = ("_arrived", "_began", "_items")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._arrived: asyncio.Future[None] | None = None
        self._began = 0.0

    def empty(self) -> bool:
        return not self._items

    def put_nowait(self, item: Any) -> None:
        self._items.append(item)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def get(self) -> Any:
        if self._items and time.monotonic() - self._began > TURN_SECONDS:
            # A client that sends without a pause must not keep all others waiting. Not after each message: what arrives
            # together shares round trips to Redis and Dask tasks.
            await asyncio.sleep(0)
            self._began = time.monotonic()
        while not self._items:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
            self._began = time.monotonic()
        return self._items.pop(0)
