"""Automatic pipelining: the calls of many requests share round trips.

A lone call is sent at once. A call that arrives while others are in flight waits for the next round trip, which carries
everything that arrived meanwhile. Under load, a round trip of many calls costs the node little more than one call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from cluster.store.lua_scripts import Call
from cluster.store.stall_aware_timeout import StallAwareTimeout

Send: TypeAlias = Callable[[Sequence[Call[Any]]], Awaitable[list[Any]]]
"""Sends calls in one round trip and returns the replies in their order; the reply to a failed call is its exception."""

MAX_BATCH: Final = 128
"""Calls in one round trip."""
MAX_IN_FLIGHT: Final = 2
"""Round trips at a time, so that a slow one does not delay every other call."""


class AutoPipeline:
    """The queue of calls that wait for the next round trip.

    Args:
        timeout: seconds that one call waits in all, queueing included.
    """

    def __init__(self, send: Send, timeout: float) -> None:
        self._send = send
        self._timeout = timeout
        self._queue: deque[tuple[Call[Any], asyncio.Future[Any]]] = deque()
        self._senders: set[asyncio.Task[None]] = set()

    async def run(self, call: Call[Any]) -> Any:
        """Returns the reply to a call. If the caller is cancelled, the call still runs.

        Raises:
            TimeoutError: no reply came in time; the call may have run.
            Exception: whatever `send` raised, or returned as the reply to this call.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.append((call, future))
        if len(self._senders) < MAX_IN_FLIGHT:
            self._senders.add(loop.create_task(self._send_all()))
        timeout = StallAwareTimeout(loop, self._timeout, partial(_expire, future))
        try:
            return await future
        finally:
            timeout.cancel()

    async def _send_all(self) -> None:
        """Makes round trips until the queue is empty."""
        sender = asyncio.current_task()
        assert sender is not None
        try:
            while self._queue:
                await self._send_batch()
        finally:
            # Without an await after the queue was found empty, and not in a callback of this task: a call that arrives
            # in between would rely on a sender that has stopped.
            self._senders.discard(sender)

    async def _send_batch(self) -> None:
        """Makes one round trip with up to MAX_BATCH calls."""
        entries = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
        # Callers that timed out in the queue have already received StoreUnavailable.
        batch = [entry for entry in entries if not entry[1].done()]
        if not batch:
            return
        try:
            replies = await self._send([call for call, _ in batch])
        except Exception as error:  # noqa: BLE001 - passed to every caller
            replies = [error] * len(batch)
        for (_, future), reply in zip(batch, replies, strict=True):
            if future.done():
                continue
            if isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(TimeoutError("no reply in time"))
