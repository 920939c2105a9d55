"""Admission: a submission is refused when too many tasks wait already.

The bound is on what waits in QUEUED, in all and per task type. Each api node counts what the lists in Redis hold, a
few times a second, and what it accepted itself since; so several nodes together may pass the bound by what they
accept within one count, and the memory of Redis stays bounded all the same.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from cluster.errors import QueueFull
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import Record, TaskState
from cluster.task_types.task_type import Bound, TaskType

COUNT_SECONDS: Final = 0.5
"""How long a count is used."""
RETRY_AFTER_SECONDS: Final = 5
"""What a refused client is told."""


class Admission:
    """Lets submissions in while there is room."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._limit = settings.queue_limit
        self._store = store
        self._waiting: Counter[str | None] = Counter()
        self._counted_at: dict[str | None, float] = {}

    async def admit(self, bound: Sequence[Bound], *, recompute: bool) -> None:
        """Returns when these submissions, all of one task type, may be claimed.

        Those that join a task in flight or find a kept result need no room and are let in however full it is.

        Raises:
            QueueFull: there is no room for the others; none of them is to be claimed.
        """
        task_type = bound[0].task_type
        room = await self._room(None, self._limit)
        if task_type.queue_limit is not None:
            room = min(room, await self._room(task_type.name, task_type.queue_limit))
        if len(bound) <= room:
            return
        records = await self._store.read_many([item.task_id for item in bound], results=False)
        needed = sum(1 for record in records if _would_wait(record, recompute))
        if needed > room:
            raise QueueFull(
                f"the queue has room for {room} more {task_type.name} tasks, not for {needed}; nothing was accepted, "
                f"try again in {RETRY_AFTER_SECONDS} s",
                retryAfterSeconds=RETRY_AFTER_SECONDS,
            )

    def accepted(self, task_type: TaskType, count: int) -> None:
        """Notes that this node put so many more tasks into the queue."""
        self._waiting[None] += count
        self._waiting[task_type.name] += count

    async def _room(self, name: str | None, limit: int) -> int:
        """How many more tasks of a type, or of all, may wait."""
        now = time.monotonic()
        if now - self._counted_at.get(name, float("-inf")) > COUNT_SECONDS:
            self._counted_at[name] = now
            self._waiting[name] = await self._store.count(TaskState.QUEUED, name)
        return max(0, limit - self._waiting[name])


def _would_wait(record: Record | None, recompute: bool) -> bool:
    return record is None or (record.final and (recompute or record.state is not TaskState.SUCCEEDED))
