"""The stream of a running attempt: items are sent to Redis as they come, a few at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event, Lock
from typing import Final

from cluster.errors import StreamLost, TaskError

MAX_PENDING: Final = 1_000
"""Items that wait to be sent; a script takes a few thousand arguments at most."""
MIN_SEND_SECONDS: Final = 0.05
"""Minimum time between two sends of one attempt, unless many items are waiting."""
MAX_PENDING_BYTES: Final = 256 * 1024
"""Bytes of items that wait to be sent; one that comes then waits until they are."""


class StreamWriter:
    """Collects the items of one attempt, and sends them in order.

    An item is sent at once if none was in the last MIN_SEND_SECONDS. Otherwise it waits for the next one, or for the
    heartbeat thread, which sends what is overdue: a function may compute for hours after its last item.

    Args:
        append: appends items after so many that were appended before; returns 1, 0 if the attempt must stop, or -1 if
            those before are lost. Retries while Redis is unavailable.
        stop: set if the attempt must stop.
        limit_bytes: maximum length of all items together.

    Attributes:
        count: number of items.
        size_bytes: length of their JSON.
    """

    def __init__(self, append: Callable[[int, Sequence[bytes]], int], stop: Event, limit_bytes: int) -> None:
        self._append = append
        self._stop = stop
        self._limit = limit_bytes
        self._lock = Lock()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._sent = 0
        self._sent_at = 0.0
        self._lost = False
        self.count = 0
        self.size_bytes = 0

    def begin(self) -> None:
        """Begins the stream anew, without the items of earlier attempts."""
        with self._lock:
            self._send(self._append)

    def add(self, item: bytes) -> None:
        """Adds the JSON of an item.

        Raises:
            TaskError: the stream has become too long.
            StreamLost: Redis has lost items of this attempt.
        """
        if self.size_bytes + len(item) > self._limit:
            raise TaskError(
                "STREAM_TOO_LARGE",
                f"a stream has at most {self._limit} bytes of JSON, and {self.count} items have {self.size_bytes}: "
                "store large items with dask_graphql.save_blob and yield the Blob, or return a file",
            )
        self.count += 1
        self.size_bytes += len(item)
        with self._lock:
            self._pending.append(item)
            self._pending_bytes += len(item)
            if self._due or self._pending_bytes > MAX_PENDING_BYTES or len(self._pending) >= MAX_PENDING:
                self._send(self._append)
        self._check()

    def flush(self) -> None:
        """Sends what is waiting.

        Raises:
            StreamLost: Redis has lost items of this attempt.
        """
        with self._lock:
            if self._pending:
                self._send(self._append)
        self._check()

    def send_overdue(self, append: Callable[[int, Sequence[bytes]], int]) -> None:
        """Sends what has waited for MIN_SEND_SECONDS; called by the heartbeat thread.

        Args:
            append: as for the class, but fails at once if Redis is unavailable.
        """
        if not self._lock.acquire(blocking=False):
            return  # the task's thread is sending
        try:
            if self._pending and self._due:
                self._send(append)
        finally:
            self._lock.release()

    @property
    def _due(self) -> bool:
        return time.monotonic() - self._sent_at >= MIN_SEND_SECONDS

    def _send(self, append: Callable[[int, Sequence[bytes]], int]) -> None:
        reply = append(self._sent, self._pending)
        self._sent_at = time.monotonic()
        self._sent += len(self._pending)
        self._pending, self._pending_bytes = [], 0
        if reply == 0:
            self._stop.set()
        self._lost = self._lost or reply < 0

    def _check(self) -> None:
        if self._lost:
            raise StreamLost("Redis has lost items of this stream, perhaps with its latest writes: it begins anew")
