"""Calls of many requests share round trips: who comes while others are on their way waits for the next departure.

A lone call goes at once. Under load a round trip carries what came during the one before, and costs the node little
more than a single call would.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from cluster.store.script_calls import Call
from cluster.store.stall_aware_timeout import StallAwareTimeout

Send: TypeAlias = Callable[[Sequence[Call[Any]]], Awaitable[list[Any]]]
"""Sends calls in one round trip and answers in their order, with an exception in the place of a call that failed."""

MOST: Final = 128
"""Most calls in one round trip."""
ON_THE_WAY: Final = 2
"""Most round trips at once: a slow one does not hold up everybody."""


class AutoPipeline:
    """Where single calls wait for the next round trip.

    Args:
        timeout: seconds that one call waits in all.
    """

    def __init__(self, send: Send, timeout: float) -> None:
        self._send = send
        self._timeout = timeout
        self._waiting: deque[tuple[Call[Any], asyncio.Future[Any]]] = deque()
        self._trips: set[asyncio.Task[None]] = set()

    async def run(self, call: Call[Any]) -> Any:
        """The answer to a call. Its caller may be cancelled at any moment: the call goes on by itself.

        Raises:
            TimeoutError: no answer came in time; it may have been done all the same.
            Exception: whatever `send` raised, or answered in the call's place.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((call, future))
        if len(self._trips) < ON_THE_WAY:
            trip = loop.create_task(self._go())
            self._trips.add(trip)
        deadline = StallAwareTimeout(loop, self._timeout, partial(_expire, future))
        try:
            return await future
        finally:
            deadline.cancel()

    async def _go(self) -> None:
        """Makes round trips until nobody waits."""
        trip = asyncio.current_task()
        assert trip is not None
        try:
            while self._waiting:
                await self._send_waiting()
        finally:
            # In the step that found nobody waiting: whoever comes between that and a callback of this task would count
            # on a trip that is over.
            self._trips.discard(trip)

    async def _send_waiting(self) -> None:
        """Makes one round trip, with as many as it takes."""
        # Whoever gave up while waiting has been told that nothing is known.
        batch = [entry for entry in self._depart() if not entry[1].done()]
        if not batch:
            return
        try:
            answers = await self._send([call for call, _ in batch])
        except Exception as error:  # noqa: BLE001 - told to every caller
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _depart(self) -> list[tuple[Call[Any], asyncio.Future[Any]]]:
        return [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(TimeoutError("no answer in time"))
