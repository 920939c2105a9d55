"""Results that did not come along with their records: read when somebody asks for one.

A result has up to INLINE_LIMIT_BYTES, so what is read at a time is bounded, and many who wait for the end of one task
share one read.
"""

from __future__ import annotations

import asyncio
from typing import Final

from cluster.store.async_store import Store
from cluster.store.record import Record, Run

READS: Final = 8
"""Most long results that are on their way from Redis at a time."""


class ResultReader:
    """The reader of long results of one node."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reading: dict[tuple[str, Run], asyncio.Task[Record | None]] = {}
        self._slots = asyncio.Semaphore(READS)

    async def complete(self, record: Record) -> Record | None:
        """The record as it is now, with its result; None where it is gone. It may be another run's by now.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        key = record.task_id, record.run
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.get_running_loop().create_task(self._read(key))
            # Looked at, though everybody may have gone away.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        # Whoever goes away does not take the others' read along.
        return await asyncio.shield(task)

    async def _read(self, key: tuple[str, Run]) -> Record | None:
        try:
            async with self._slots:
                return await self._store.read(key[0])
        finally:
            del self._reading[key]
