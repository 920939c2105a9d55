"""Admission control: submissions are refused while too many tasks are queued, an account uses too much, or Redis is
nearly full.

The limits apply to QUEUED tasks, in total and per task type, and to the open tasks and the bytes of each account. Each
api node reads these numbers from Redis twice a second and adds what it has accepted since. Several nodes together can
therefore exceed a limit by what they accept within that interval. `store_memory` refuses what would be too much for
Redis in any case.

A task that must not start for a long time takes no room in the queue that all share, only its account's.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from cluster.api_node.account_usage import RECORD_BYTES, AccountUsage
from cluster.api_node.policy_cache import PolicyCache
from cluster.api_node.store_memory import StoreMemory
from cluster.errors import QueueFull, QuotaExceeded, StoreFull
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import Record, SubmissionOutcome, TaskState
from cluster.store.replies import SubmitReply
from cluster.task_types.task_type import Bound

COUNT_MAX_AGE_SECONDS: Final = 0.5
"""How long the number of queued tasks is cached."""
RETRY_AFTER_SECONDS: Final = 5
"""`retryAfterSeconds` of a refusal."""
FAR_AHEAD_MILLISECONDS: Final = 3_600_000
"""A task with a `notBefore` further ahead takes no room in the shared queue."""


class Admission:
    """Admits submissions while the queue, and the account, have room."""

    def __init__(self, settings: Settings, store: Store, policies: PolicyCache) -> None:
        self._settings = settings
        self._policies = policies
        self._store = store
        self._queued: Counter[str | None] = Counter()
        self._counted_at: dict[str | None, float] = {}
        self._memory = StoreMemory(store)
        self._usage = AccountUsage(store)

    async def admit(
        self, bound: Sequence[Bound], *, recompute: bool, account: str = "", not_before: int | None = None
    ) -> None:
        """Checks whether these submissions, all of one task type, may be claimed.

        Those that join a task in flight or find a stored result need no room and are always admitted.

        Args:
            account: whose quotas they use; empty for none.
            not_before: as in `SubmitOptions`.

        Raises:
            QueueFull, QuotaExceeded: there is no room for the others; none of the submissions may be claimed.
            StoreFull: Redis is nearly full.
        """
        task_type = bound[0].task_type
        room: float = math.inf if _is_far_ahead(not_before) else await self._room(None, self._settings.queue_limit)
        if task_type.queue_limit is not None:
            room = min(room, await self._room(task_type.name, task_type.queue_limit))
        tasks, size = await self._account_room(account)
        full = await self._memory.is_full()
        if len(bound) <= min(room, tasks) and _size(bound) <= size and not full:
            return
        records = await self._store.read_many([item.task_id for item in bound], inputs=False, results=False)
        new = [item for item, record in zip(bound, records, strict=True) if _needs_room(record, recompute)]
        if new and full:
            raise StoreFull(
                "the task store is nearly full, so no new task is accepted; try again once results have expired",
                retryAfterSeconds=RETRY_AFTER_SECONDS,
            )
        if len(new) > min(room, tasks):
            whose = f"the queue has room for {room} more {task_type.name} tasks"
            if tasks < room:
                whose = f"your account ({account}) has room for {tasks} more open tasks"
            raise QueueFull(
                f"{whose}, not for {len(new)}; nothing was accepted, try again in {RETRY_AFTER_SECONDS} s",
                retryAfterSeconds=RETRY_AFTER_SECONDS,
            )
        if _size(new) > size:
            raise QuotaExceeded(
                f"your account ({account}) may keep {self.byte_limit(account)} bytes of records, blobs and files, and "
                f"has room for {size} more, not for {_size(new)}; nothing was accepted: results make room when they "
                "expire",
                limit=self.byte_limit(account),
            )

    def accepted(self, submitted: Sequence[SubmitReply], *, not_before: int | None = None) -> None:
        """Counts tasks that this node has just queued, all of one task type."""
        new = [item for item in submitted if item.outcome in (SubmissionOutcome.NEW, SubmissionOutcome.RECOMPUTED)]
        if not new:
            return
        if not _is_far_ahead(not_before):
            self._queued[None] += len(new)
        self._queued[new[0].record.name] += len(new)
        size = sum(RECORD_BYTES + len(item.record.input) for item in new)
        self._usage.add(new[0].record.account, len(new), size)

    async def admit_bytes(self, account: str, size: int) -> None:
        """Checks whether an account may keep `size` more bytes of files.

        Raises:
            QuotaExceeded: it has no room for them.
            StoreFull: Redis is nearly full.
        """
        _, room = await self._account_room(account)
        if size > room:
            raise QuotaExceeded(
                f"your account ({account}) may keep {self.byte_limit(account)} bytes of records, blobs and files, and "
                f"has room for {room} more, not for {size}: results and files make room when they expire",
                limit=self.byte_limit(account),
            )
        if await self._memory.is_full():
            raise StoreFull(
                "the task store is nearly full, so no new file is accepted; try again once results have expired",
                retryAfterSeconds=RETRY_AFTER_SECONDS,
            )

    def count_bytes(self, account: str, size: int) -> None:
        """Counts a file that this node has just accepted."""
        self._usage.add(account, 0, size)

    def task_limit(self, account: str) -> int:
        """How many open tasks an account may have."""
        limit = self._policies.of(account).queue_limit
        return self._settings.queue_limit_per_tenant if limit is None else limit

    def byte_limit(self, account: str) -> int:
        """How many bytes of records and blobs an account may have."""
        limit = self._policies.of(account).max_bytes
        return self._settings.tenant_bytes if limit is None else limit

    async def _account_room(self, account: str) -> tuple[float, float]:
        """How many more tasks, and bytes, an account may have."""
        if not account:
            return math.inf, math.inf
        usage = await self._usage.of(account)
        return max(0, self.task_limit(account) - usage.open), max(0, self.byte_limit(account) - usage.bytes)

    async def _room(self, name: str | None, limit: int) -> int:
        """How many more tasks of this type may be queued; of all types if `name` is None."""
        now = time.monotonic()
        if now - self._counted_at.get(name, float("-inf")) > COUNT_MAX_AGE_SECONDS:
            self._counted_at[name] = now
            count = await self._store.count(TaskState.QUEUED, name)
            if name is None and count > limit // 2:
                count -= await self._store.count_due_after(FAR_AHEAD_MILLISECONDS)
            self._queued[name] = count
        return max(0, limit - self._queued[name])


def _size(bound: Sequence[Bound]) -> int:
    return sum(RECORD_BYTES + len(item.canonical_input) for item in bound)


def _is_far_ahead(not_before: int | None) -> bool:
    return not_before is not None and not_before > time.time() * 1000 + FAR_AHEAD_MILLISECONDS


def _needs_room(record: Record | None, recompute: bool) -> bool:
    return record is None or (record.final and (recompute or record.state is not TaskState.SUCCEEDED))
