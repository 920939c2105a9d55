"""How long Redis is waited for, without the time that this process itself stood still.

A machine that was paused, or a loop that was busy, finds its timers due and Redis's answers in the socket at the same
moment, and asyncio serves timers first: every caller would hear of a missing Redis that answered all the while.

The extension is bounded: a loop that stalls again and again is overloaded, and then the limit matters most.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

LATE_SECONDS: Final = 0.1
"""A timer that fires later than this tells of a process that stood still meanwhile."""


class StallAwareTimeout:
    """Calls `expire` after `seconds`, and where the process stood still for a part of them, that much later: by
    `seconds` in all at the most, however often it stands still.

    Args:
        loop: the running loop.
        seconds: from now on.
        expire: called at most once, and not after `cancel`.
    """

    __slots__ = ("_due", "_expire", "_extension", "_loop", "_seconds", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, expire: Callable[[], object]) -> None:
        self._loop = loop
        self._seconds = self._extension = seconds
        self._expire = expire
        self._due = loop.time() + seconds
        self._timer = loop.call_at(self._due, self._fire)

    def restart(self) -> None:
        """Something came: `expire` is called `seconds` after this moment."""
        self._due = self._loop.time() + self._seconds
        self._extension = self._seconds

    def cancel(self) -> None:
        self._timer.cancel()

    def _fire(self) -> None:
        now = self._loop.time()
        late = now - self._due
        if late < 0:
            self._timer = self._loop.call_at(self._due, self._fire)
        elif late > LATE_SECONDS and self._extension > 0:
            extension = min(late, self._extension)
            self._extension -= extension
            self._due = now + extension
            self._timer = self._loop.call_at(self._due, self._fire)
        else:
            self._expire()


@asynccontextmanager
async def stall_aware_timeout(seconds: float) -> AsyncIterator[StallAwareTimeout]:
    """As `asyncio.timeout`, by a Deadline, which the block may restart.

    Raises:
        TimeoutError: the block took longer, and was cancelled.
    """
    async with asyncio.timeout(None) as limit:
        deadline = StallAwareTimeout(asyncio.get_running_loop(), seconds, lambda: limit.reschedule(0))
        try:
            yield deadline
        finally:
            deadline.cancel()
