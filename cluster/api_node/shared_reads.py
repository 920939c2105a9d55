"""Reads that all callers of a node share: whoever asks for the same within a moment gets the same answer."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SharedReads(Generic[K, V]):
    """Keeps answers for a moment.

    Args:
        max_age_seconds: how long an answer is used, from the begin of its read.
        limit: how many answers are kept.
        clock: monotonic, in seconds.
    """

    def __init__(self, max_age_seconds: float, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_age_seconds = max_age_seconds
        self._limit = limit
        self._clock = clock
        self._reads: OrderedDict[K, tuple[float, asyncio.Future[V]]] = OrderedDict()

    async def get(self, key: K, read: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The answer that belongs to a key, read unless a recent one is kept. What `read` raises is raised by all who
        wait for it, and is not kept."""
        now = self._clock()
        began, reading = self._reads.get(key, (float("-inf"), None))
        failed = reading is not None and reading.done() and (reading.cancelled() or reading.exception() is not None)
        if reading is None or failed or now - began > self._max_age_seconds:
            reading = asyncio.ensure_future(read())
            # Marks the exception as retrieved, even if all who wait have been cancelled.
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._reads.pop(key, None)  # the newest last
            self._reads[key] = now, reading
            while len(self._reads) > self._limit:
                self._reads.popitem(last=False)
        # A caller that is cancelled must not cancel the read of the others.
        return await asyncio.shield(reading)
