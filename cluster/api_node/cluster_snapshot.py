"""What an api node knows of the cluster: the scheduler, the workers, the fleet, the number of tasks by state.

However many clients watch the cluster, a node reads it once a second, and only while at least one client watches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cluster.api_node.merged_state import SchedulerState, merge_loads
from cluster.api_node.reloads import Reload, Reloads
from cluster.api_node.schedulers import Schedulers
from cluster.errors import StoreUnavailable, TooManySubscriptions
from cluster.store.async_store import Store
from cluster.store.record import TaskState
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
"""Interval at which the cluster is read."""
MEMORY_STEP_BYTES: Final = 16 * 2**20
"""A worker's memory changes all the time: smaller changes are ignored."""


@dataclass(frozen=True)
class ClusterSnapshot:
    """The cluster at one moment.

    Attributes:
        load: the reply of the scheduler's `load` handler, of all schedulers together; empty if none is available.
        fleet: the state that the controllers last published, of all fleets together; None if no controller runs.
        tasks: number of records in each state, of all tenants or of one.
        reload: the newest change of the task modules; None if this node does not reload them.
        schedulers: each scheduler by itself; empty stands for a single one.
    """

    load: Mapping[str, Any]
    fleet: Mapping[str, Any] | None
    tasks: Mapping[TaskState, int]
    reload: Reload | None = None
    schedulers: tuple[SchedulerState, ...] = ()

    def equivalent(self, other: ClusterSnapshot | None) -> bool:
        """Whether the two differ only in what watchers need not be told."""
        return other is not None and self._relevant() == other._relevant()

    def _relevant(self) -> tuple[Any, ...]:
        changing = ("waiting_seconds", "workers", "starting", "running_threads")
        load = {name: value for name, value in self.load.items() if name not in changing}
        workers = [
            (worker["name"], worker["threads"], worker["processing"], worker["memory_bytes"] // MEMORY_STEP_BYTES)
            for worker in self.load.get("workers", ())
        ]
        # The reason contains numbers that change with every round of the controller.
        fleet = {name: value for name, value in (self.fleet or {}).items() if name not in ("at", "reason")}
        starting = [(worker["name"], worker["error"]) for worker in self.load.get("starting", ())]
        available = [bool(scheduler.load) for scheduler in self.schedulers]
        return load, available, workers, starting, fleet, dict(self.tasks), self.reload


async def read_snapshot(
    store: Store, schedulers: Schedulers, reloads: Reloads, tenant: str | None = None
) -> ClusterSnapshot:
    """The cluster now. A scheduler or controller that is unavailable is missing from it.

    Args:
        tenant: whose tasks are counted; None for all.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    states = await schedulers.states()
    fleet = await schedulers.fleet(store)
    return ClusterSnapshot(merge_loads(states), fleet, await store.counts(tenant), reloads.latest, tuple(states))


class SnapshotWatchers:
    """The clients of one node that watch the cluster.

    Args:
        limit: maximum number of watchers.
    """

    def __init__(self, store: Store, schedulers: Schedulers, limit: int, reloads: Reloads) -> None:
        self._store = store
        self._schedulers = schedulers
        self._reloads = reloads
        self._limit = limit
        self._watchers = 0
        self._latest: ClusterSnapshot | None = None
        self._counted: ClusterSnapshot | None = None
        self._counts: dict[str, asyncio.Future[Mapping[TaskState, int]]] = {}
        """The numbers of tasks by tenant that belong to the snapshot `_counted`."""
        self._changed = asyncio.Condition()
        self._loop: BackgroundLoop | None = None

    @property
    def watchers(self) -> int:
        """Current number of watchers."""
        return self._watchers

    async def changes(self, tenant: str | None = None) -> AsyncGenerator[ClusterSnapshot, None]:
        """The cluster now and then after each change, at most once a second; without end.

        A slow watcher skips intermediate snapshots, never the newest.

        Args:
            tenant: whose tasks are counted; None for all. Changes of other tenants' tasks alone are not told.

        Raises:
            TooManySubscriptions: the node has reached its limit.
        """
        if self._watchers >= self._limit:
            raise TooManySubscriptions(f"this node has {self._limit} watchers of the cluster, its limit")
        self._watchers += 1
        if self._loop is None:
            self._loop = BackgroundLoop("cluster watcher", self._poll, pause_seconds=POLL_SECONDS)
            self._loop.start()
        seen: ClusterSnapshot | None = None
        shown: ClusterSnapshot | None = None
        try:
            while True:
                async with self._changed:
                    while self._latest is seen:
                        await self._changed.wait()
                seen = self._latest
                assert seen is not None
                try:
                    latest = seen if tenant is None else replace(seen, tasks=await self._tenant_counts(tenant))
                except StoreUnavailable as error:
                    logger.debug("counting the tasks of a tenant will be retried: %s", error)
                    seen = None
                    await asyncio.sleep(POLL_SECONDS)
                    continue
                if not latest.equivalent(shown):
                    shown = latest
                    yield latest
        finally:
            self._watchers -= 1
            if not self._watchers:
                # The next watcher must not get an old snapshot.
                loop, self._loop, self._latest = self._loop, None, None
                if loop is not None:
                    await loop.close()

    async def _tenant_counts(self, tenant: str) -> Mapping[TaskState, int]:
        """The number of a tenant's tasks, read once for all its watchers after each change of the cluster."""
        if self._counted is not self._latest:
            self._counted, self._counts = self._latest, {}
        reading = self._counts.get(tenant)
        if reading is None:
            reading = self._counts[tenant] = asyncio.ensure_future(self._store.counts(tenant))
            # Marks the exception as retrieved, even if all watchers have been cancelled.
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            # A watcher that is cancelled must not cancel the read of the others.
            return await asyncio.shield(reading)
        except StoreUnavailable:
            if self._counts.get(tenant) is reading:
                del self._counts[tenant]
            raise

    async def _poll(self) -> None:
        now = await read_snapshot(self._store, self._schedulers, self._reloads)
        if not now.equivalent(self._latest):
            self._latest = now
            async with self._changed:
                self._changed.notify_all()
