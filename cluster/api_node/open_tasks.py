"""The tasks that are open now: what each worker runs, how many there are of each type, and of each account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from cluster.api_node.account_usage import read_all_usage
from cluster.api_node.shared_reads import SharedReads
from cluster.store.async_store import Store
from cluster.store.record import Record, TaskState
from cluster.store.task_filter import TaskFilter

MAX_AGE_SECONDS: Final = 1.0
"""How long what was read is used."""
MAX_TENANTS: Final = 100
"""Tenants whose answers are kept at once."""
MAX_RUNNING: Final = 1_000
"""RUNNING tasks that are looked at, the newest first."""


@dataclass(frozen=True, slots=True)
class AccountQueue:
    """The open tasks of an account."""

    account: str
    waiting: int
    running: int


class OpenTasks:
    """What one api node has read of the open tasks, for all its callers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: SharedReads[str | None, dict[str, list[Record]]] = SharedReads(MAX_AGE_SECONDS, MAX_TENANTS)
        self._by_type: SharedReads[tuple[str | None, frozenset[str]], dict[str, int]] = SharedReads(
            MAX_AGE_SECONDS, MAX_TENANTS
        )
        self._by_account: SharedReads[None, list[AccountQueue]] = SharedReads(MAX_AGE_SECONDS, 1)
        self._oldest: SharedReads[str | None, float | None] = SharedReads(MAX_AGE_SECONDS, MAX_TENANTS)

    async def running(self, tenant: str | None) -> Mapping[str, list[Record]]:
        """The newest RUNNING tasks by worker, at most MAX_RUNNING, of one tenant or of all; without inputs and results.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        return await self._running.get(tenant, lambda: self._read_running(tenant))

    async def by_type(self, names: Collection[str], tenant: str | None) -> Mapping[str, int]:
        """How many tasks of each of these types are QUEUED or RUNNING, of one tenant or of all.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        key = tenant, frozenset(names)
        return await self._by_type.get(key, lambda: self._count(sorted(names), tenant))

    async def by_account(self) -> list[AccountQueue]:
        """The open tasks of each account that has any, those with most waiting first.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        return await self._by_account.get(None, self._read_accounts)

    async def oldest_waiting_seconds(self, tenant: str | None) -> float | None:
        """How long ago the oldest QUEUED task was submitted, of one tenant or of all; None if none is QUEUED.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        return await self._oldest.get(tenant, lambda: self._read_oldest(tenant))

    async def _read_running(self, tenant: str | None) -> dict[str, list[Record]]:
        running = TaskFilter(states=frozenset({TaskState.RUNNING}))
        positions = await self._store.list_tasks(MAX_RUNNING, wanted=running, tenant=tenant)
        records = await self._store.read_many([task_id for _, task_id in positions], inputs=False, results=False)
        by_worker: dict[str, list[Record]] = {}
        for record in records:
            if record is not None and record.state is TaskState.RUNNING and record.worker:
                by_worker.setdefault(record.worker, []).append(record)
        return by_worker

    async def _count(self, names: list[str], tenant: str | None) -> dict[str, int]:
        return dict(zip(names, await self._store.count_open(names, tenant), strict=True))

    async def _read_accounts(self) -> list[AccountQueue]:
        usage = await read_all_usage(self._store)
        running = Counter(record.account for records in (await self.running(None)).values() for record in records)
        queues = [
            AccountQueue(account, max(0, each.open - running[account]), running[account])
            for account, each in usage.items()
            if each.open
        ]
        return sorted(queues, key=lambda queue: (-queue.waiting, -queue.running, queue.account))

    async def _read_oldest(self, tenant: str | None) -> float | None:
        submitted_at = await self._store.oldest_queued_at(tenant)
        if submitted_at is None:
            return None
        return max(0.0, await self._store.server_milliseconds() / 1000 - submitted_at)
