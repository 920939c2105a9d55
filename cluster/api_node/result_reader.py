"""Reads long results, which are omitted from records until a client selects them.

A result has up to INLINE_LIMIT_BYTES, so the number of concurrent reads is limited. Subscribers that wait for the end
of the same task share one read.
"""

from __future__ import annotations

import asyncio
from typing import Final

from cluster.store.async_store import Store
from cluster.store.record import Record, Run

MAX_CONCURRENT_READS: Final = 8
"""Maximum number of long results that are read from Redis at the same time."""


class ResultReader:
    """Reads the long results of one node."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reading: dict[tuple[str, Run], asyncio.Task[Record | None]] = {}
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_READS)

    async def complete(self, record: Record) -> Record | None:
        """Returns the current record with its result, which may belong to a later run; None if it has expired.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        key = record.task_id, record.run
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.get_running_loop().create_task(self._read(key))
            # Marks the exception as retrieved, even if all callers have been cancelled.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        # A caller that is cancelled must not cancel the read of the others.
        return await asyncio.shield(task)

    async def _read(self, key: tuple[str, Run]) -> Record | None:
        try:
            async with self._slots:
                return await self._store.read(key[0])
        finally:
            del self._reading[key]
