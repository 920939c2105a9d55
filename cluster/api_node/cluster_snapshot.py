"""What an api node sees of the cluster: the scheduler, the workers, the fleet, the tasks by state.

However many clients watch, a node asks once a second, and only while somebody watches.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from cluster.errors import TooManySubscriptions
from cluster.scheduling.scheduler_client import SchedulerClient, SchedulerUnavailable
from cluster.store.async_store import Store
from cluster.store.record import TaskState
from cluster.system.background import BackgroundLoop

TURN_SECONDS: Final = 1.0
MEMORY_STEP_BYTES: Final = 16 * 2**20
"""A worker's memory never stands still: smaller steps count as no change."""


@dataclass(frozen=True)
class ClusterSnapshot:
    """The cluster at one moment.

    Attributes:
        load: what the scheduler answered; empty where it does not.
        fleet: the controller's word; None where no controller speaks.
        tasks: how many records there are in each state.
    """

    load: Mapping[str, Any]
    fleet: Mapping[str, Any] | None
    tasks: Mapping[TaskState, int]

    def like(self, other: ClusterSnapshot | None) -> bool:
        """Whether nothing worth telling lies between the two."""
        return other is not None and self._telling() == other._telling()

    def _telling(self) -> tuple[Any, ...]:
        load = {name: value for name, value in self.load.items() if name not in ("waiting_seconds", "workers")}
        workers = [
            (worker["name"], worker["threads"], worker["processing"], worker["memory_bytes"] // MEMORY_STEP_BYTES)
            for worker in self.load.get("workers", ())
        ]
        # The reason holds figures that change with every turn of the controller.
        fleet = {name: value for name, value in (self.fleet or {}).items() if name not in ("at", "reason")}
        return load, workers, fleet, dict(self.tasks)


async def read_snapshot(store: Store, scheduler: SchedulerClient) -> ClusterSnapshot:
    """The cluster now; a scheduler or controller that does not answer is told as such.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    load: Mapping[str, Any] = {}
    with contextlib.suppress(SchedulerUnavailable):
        load = await scheduler.call("dask_graphql_load")
    word = await store.command("GET", store.calls.fleet_key)
    return ClusterSnapshot(load, orjson.loads(word) if word else None, await store.counts())


class SnapshotWatchers:
    """The watchers of one node.

    Args:
        limit: most watchers at once.
    """

    def __init__(self, store: Store, scheduler: SchedulerClient, limit: int) -> None:
        self._store = store
        self._scheduler = scheduler
        self._limit = limit
        self._watchers = 0
        self._latest: ClusterSnapshot | None = None
        self._news = asyncio.Condition()
        self._loop: BackgroundLoop | None = None

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return self._watchers

    async def changes(self) -> AsyncGenerator[ClusterSnapshot, None]:
        """The cluster now, and then as it is after each change, at most once a second; without end.

        A slow watcher misses what was between, never the newest.

        Raises:
            TooManySubscriptions: the node's bound is reached.
        """
        if self._watchers >= self._limit:
            raise TooManySubscriptions(f"this node has {self._limit} watchers of the cluster, its limit")
        self._watchers += 1
        if self._loop is None:
            self._loop = BackgroundLoop("cluster watcher", self._poll, pause_seconds=TURN_SECONDS)
            self._loop.start()
        seen: ClusterSnapshot | None = None
        try:
            while True:
                async with self._news:
                    while self._latest is seen:
                        await self._news.wait()
                seen = self._latest
                assert seen is not None
                yield seen
        finally:
            self._watchers -= 1
            if not self._watchers:
                # Whoever watches next must not be told what was long ago.
                loop, self._loop, self._latest = self._loop, None, None
                if loop is not None:
                    await loop.close()

    async def _poll(self) -> None:
        now = await read_snapshot(self._store, self._scheduler)
        if not now.like(self._latest):
            self._latest = now
            async with self._news:
                self._news.notify_all()
