"""Admission: a submission is refused when too many tasks wait already.

The bound is on what waits in QUEUED, in all and per task type. Each api node counts what the lists in Redis hold, a
few times a second, and what it accepted itself since; so several nodes together may pass the bound by what they
accept within one count, and the memory of Redis stays bounded all the same.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

from cluster.errors import QueueFull
from cluster.registry import TaskType
from cluster.settings import Settings
from cluster.store.record import TaskState
from cluster.store.store import Store

COUNT_SECONDS: Final = 0.5
"""How long a count is used."""
RETRY_AFTER_SECONDS: Final = 5
"""What a refused client is told."""


class Admission:
    """Lets submissions in while there is room."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._limit = settings.queue_limit
        self._store = store
        self._waiting = 0
        self._of_type: Counter[str] = Counter()
        self._counted_at: dict[str, float] = {}

    async def admit(self, task_type: TaskType, count: int) -> None:
        """Returns when `count` more tasks of a type may wait.

        Raises:
            QueueFull: they may not; none of them does.
        """
        now = time.monotonic()
        if now - self._counted_at.get("", 0.0) > COUNT_SECONDS:
            self._counted_at[""] = now
            self._waiting = await self._store.count(TaskState.QUEUED)
        if self._waiting + count > self._limit:
            raise self._refusal("tasks", self._waiting, self._limit)
        if task_type.queue_limit is not None:
            if now - self._counted_at.get(task_type.name, 0.0) > COUNT_SECONDS:
                self._counted_at[task_type.name] = now
                self._of_type[task_type.name] = await self._store.count(TaskState.QUEUED, task_type.name)
            if self._of_type[task_type.name] + count > task_type.queue_limit:
                raise self._refusal(f"{task_type.name} tasks", self._of_type[task_type.name], task_type.queue_limit)
            self._of_type[task_type.name] += count
        self._waiting += count

    @staticmethod
    def _refusal(what: str, waiting: int, limit: int) -> QueueFull:
        return QueueFull(
            f"{waiting} {what} wait already, of at most {limit}; nothing was accepted, try again in "
            f"{RETRY_AFTER_SECONDS} s",
            retryAfterSeconds=RETRY_AFTER_SECONDS,
            limit=limit,
        )
