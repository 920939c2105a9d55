"""Admission control: submissions are refused while too many tasks are queued, or Redis is nearly full.

The limits apply to QUEUED tasks, in total and per task type. Each api node reads their number from Redis twice a second
and adds what it has accepted since. Several nodes together can therefore exceed a limit by what they accept within that
interval. Together with the largest input (INPUT_LIMIT_BYTES) this bounds what waiting tasks take; what ended tasks take
ends with RESULT_TTL_SECONDS. `store_memory` refuses what would be too much for Redis in any case.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from cluster.api_node.store_memory import StoreMemory
from cluster.errors import QueueFull, StoreFull
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import Record, TaskState
from cluster.task_types.task_type import Bound, TaskType

COUNT_MAX_AGE_SECONDS: Final = 0.5
"""How long the number of queued tasks is cached."""
RETRY_AFTER_SECONDS: Final = 5
"""`retryAfterSeconds` of a refusal."""


class Admission:
    """Admits submissions while the queue has room."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._limit = settings.queue_limit
        self._store = store
        self._queued: Counter[str | None] = Counter()
        self._counted_at: dict[str | None, float] = {}
        self._memory = StoreMemory(store)

    async def admit(self, bound: Sequence[Bound], *, recompute: bool) -> None:
        """Checks whether these submissions, all of one task type, may be claimed.

        Those that join a task in flight or find a stored result need no room and are always admitted.

        Raises:
            QueueFull: there is no room for the others; none of the submissions may be claimed.
            StoreFull: Redis is nearly full.
        """
        task_type = bound[0].task_type
        room = await self._room(None, self._limit)
        if task_type.queue_limit is not None:
            room = min(room, await self._room(task_type.name, task_type.queue_limit))
        full = await self._memory.is_full()
        if len(bound) <= room and not full:
            return
        records = await self._store.read_many([item.task_id for item in bound], results=False)
        needed = sum(1 for record in records if _needs_room(record, recompute))
        if needed and full:
            raise StoreFull(
                "the task store is nearly full, so no new task is accepted; try again once results have expired",
                retryAfterSeconds=RETRY_AFTER_SECONDS,
            )
        if needed > room:
            raise QueueFull(
                f"the queue has room for {room} more {task_type.name} tasks, not for {needed}; nothing was accepted, "
                f"try again in {RETRY_AFTER_SECONDS} s",
                retryAfterSeconds=RETRY_AFTER_SECONDS,
            )

    def accepted(self, task_type: TaskType, count: int) -> None:
        """Counts tasks that this node has just queued."""
        self._queued[None] += count
        self._queued[task_type.name] += count

    async def _room(self, name: str | None, limit: int) -> int:
        """How many more tasks of this type may be queued; of all types if `name` is None."""
        now = time.monotonic()
        if now - self._counted_at.get(name, float("-inf")) > COUNT_MAX_AGE_SECONDS:
            self._counted_at[name] = now
            self._queued[name] = await self._store.count(TaskState.QUEUED, name)
        return max(0, limit - self._queued[name])


def _needs_room(record: Record | None, recompute: bool) -> bool:
    return record is None or (record.final and (recompute or record.state is not TaskState.SUCCEEDED))
