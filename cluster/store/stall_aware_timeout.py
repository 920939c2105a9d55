"""A timeout for replies of Redis that does not count the time during which this process itself stood still.

After the machine was paused, or the event loop was busy, timers are due and Redis's replies are in the socket at the
same moment, and asyncio runs timers first: every caller would see a timeout although Redis answered.

The extension is bounded: a loop that stalls again and again is overloaded, and then the timeout matters most.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

STALL_SECONDS: Final = 0.1
"""A timer that fires later than this shows that the process stood still."""


class StallAwareTimeout:
    """Calls `expire` after `seconds`, or later by the time that the process stood still meanwhile: by at most `seconds`
    in all, however often it stalls.

    Args:
        loop: the running loop.
        seconds: from now.
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
        """Starts the timeout anew: `expire` is called `seconds` from now."""
        self._due = self._loop.time() + self._seconds
        self._extension = self._seconds

    def cancel(self) -> None:
        self._timer.cancel()

    def _fire(self) -> None:
        now = self._loop.time()
        late = now - self._due
        if late < 0:
            self._timer = self._loop.call_at(self._due, self._fire)
        elif late > STALL_SECONDS and self._extension > 0:
            extension = min(late, self._extension)
            self._extension -= extension
            self._due = now + extension
            self._timer = self._loop.call_at(self._due, self._fire)
        else:
            self._expire()


@asynccontextmanager
async def stall_aware_timeout(seconds: float) -> AsyncIterator[StallAwareTimeout]:
    """As `asyncio.timeout`, with a StallAwareTimeout, which the block may restart.

    Raises:
        TimeoutError: the block took longer, and was cancelled.
    """
    async with asyncio.timeout(None) as scope:
        timeout = StallAwareTimeout(asyncio.get_running_loop(), seconds, lambda: scope.reschedule(0))
        try:
            yield timeout
        finally:
            timeout.cancel()
