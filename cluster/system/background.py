"""Background work that never ends by itself.

A task that fails is silent: asyncio keeps the exception for a caller that awaits the task, and a loop has none. So
every loop and thread of every node runs under one of the two supervisors here. After an unexpected error, which is
logged with its stack and counted, the next round follows after a backoff. While Redis is unavailable, they retry
without a stack.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final

from cluster.errors import StoreUnavailable
from cluster.observability import metrics

logger = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS: Final = 1.0
MAX_BACKOFF_SECONDS: Final = 30.0
"""Longest pause after an unexpected error; the first is FIRST_BACKOFF_SECONDS, doubled for each further one in a
row."""
UNAVAILABLE_BACKOFF_SECONDS: Final = 0.25
MAX_UNAVAILABLE_BACKOFF_SECONDS: Final = 2.0
"""Longest pause while Redis is unavailable; short, so that work resumes as soon as it is back."""
REPORTED_FAILURES: Final = 3
"""Unexpected errors in a row after which a loop counts as failing."""
STEADY_SECONDS: Final = 60.0
"""A round that has run for this long is working, whatever failed before it."""


class Health:
    """The outcomes of the rounds of one loop.

    Attributes:
        name: of the loop, in the label of the metric and in /readyz.
        last_error: the last unexpected error, for humans; None while rounds succeed.
        completed_at: when a round last completed, seconds of `time.monotonic`; None before the first one.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.last_error: str | None = None
        self.completed_at: float | None = None
        self._clock = clock
        self._failures = 0
        self._unavailable = 0
        self._failing_since: float | None = None
        self._began = clock()
        metrics.BACKGROUND_FAILURES.labels(name)

    @property
    def failing_since(self) -> float | None:
        """When the current series of failures began, seconds since 1970; None while the loop works."""
        steady = self._clock() - self._began > STEADY_SECONDS
        return None if self._failures < REPORTED_FAILURES or steady else self._failing_since

    def begin(self) -> None:
        """A round begins."""
        self._began = self._clock()

    def complete(self) -> None:
        """A round completed."""
        self._failures = self._unavailable = 0
        self._failing_since = self.last_error = None
        self.completed_at = self._clock()

    def unavailable(self, error: StoreUnavailable) -> float:
        """A round failed because Redis is unavailable. Returns the pause before the next one, in seconds."""
        self._unavailable += 1
        logger.log(logging.WARNING if self._unavailable == 1 else logging.DEBUG, "%s waits: %s", self.name, error)
        return _backoff(UNAVAILABLE_BACKOFF_SECONDS, MAX_UNAVAILABLE_BACKOFF_SECONDS, self._unavailable)

    def fail(self, error: BaseException) -> float:
        """A round failed with an unexpected error. Returns the pause before the next one, in seconds."""
        if self._clock() - self._began > STEADY_SECONDS:
            self._failures = 0
        if self._failures == 0:
            self._failing_since = time.time()
        self._failures += 1
        self.last_error = f"{type(error).__name__}: {error}"
        metrics.BACKGROUND_FAILURES.labels(self.name).inc()
        pause = _backoff(FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS, self._failures)
        logger.error("%s failed (%d in a row); trying again in %g s", self.name, self._failures, pause, exc_info=error)
        # The pause does not count towards the next round.
        self._began = self._clock()
        return pause


def _backoff(first: float, maximum: float, failures: int) -> float:
    return float(min(maximum, first * 2 ** min(failures - 1, 16)))


class BackgroundLoop:
    """Runs `work` repeatedly, from `start` until `close`.

    Args:
        name: in logs, in the metric's label and in /readyz.
        work: one round. It may return soon, or run until it is cancelled.
        pause_seconds: pause after a round that returned.
        needed: whether the node is not ready to serve while this loop keeps failing.
    """

    def __init__(
        self, name: str, work: Callable[[], Awaitable[object]], *, pause_seconds: float = 0.0, needed: bool = False
    ) -> None:
        self.health = Health(name)
        self.needed = needed
        self._work = work
        self._pause_seconds = pause_seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the loop; does nothing if it runs already."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name=self.health.name)

    async def close(self) -> None:
        """Cancels the current round, and returns once it has ended."""
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()
            # Repeated until it takes effect: redis-py may swallow a cancellation while it reads.
            await asyncio.wait({task}, timeout=0.1)

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        while True:
            self.health.begin()
            try:
                await self._work()
            except asyncio.CancelledError as error:
                if task.cancelling():
                    raise
                # This loop was not cancelled: a library let the cancellation of its own task through.
                pause = self.health.fail(error)
            except StoreUnavailable as error:
                pause = self.health.unavailable(error)
            except Exception as error:  # noqa: BLE001 - logged with its stack, counted, tried again
                pause = self.health.fail(error)
            else:
                self.health.complete()
                pause = self._pause_seconds
            await asyncio.sleep(pause)


class BackgroundThread:
    """As `BackgroundLoop`, in a daemon thread, for a process whose event loop is not ours.

    Args:
        name: of the thread; and as for `BackgroundLoop`.
        work: one round.
        pause_seconds: pause before each round.
    """

    def __init__(self, name: str, work: Callable[[], object], *, pause_seconds: float) -> None:
        self.health = Health(name)
        self._work = work
        self._pause_seconds = pause_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the current round, without waiting for it."""
        self._stopped.set()

    def _run(self) -> None:
        pause = self._pause_seconds
        while not self._stopped.wait(pause):
            self.health.begin()
            try:
                self._work()
            except StoreUnavailable as error:
                pause = self.health.unavailable(error)
            except Exception as error:  # noqa: BLE001 - logged with its stack, counted, tried again
                pause = self.health.fail(error)
            else:
                self.health.complete()
                pause = self._pause_seconds
