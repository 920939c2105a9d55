"""Paused task types: what operators paused, as every api node knows it, and the recall of what had not started.

A node reads them again at each broadcast `paused`, and every few seconds. A submission that it accepts in between, and
every other attempt that is at the scheduler and has not started, is recalled by the slot claimer's node: the next
attempt is held, and the fence refuses the old one if a worker is about to start it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from cluster.api_node.announced_cache import REFRESH_SECONDS, AnnouncedCache
from cluster.api_node.cancellation import Cancellations
from cluster.observability import metrics
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

PAUSED_CHANGED: Final = "paused"
"""The message on the channel of all nodes after a change."""
RECALL_AGAIN_SECONDS: Final = 2 * REFRESH_SECONDS
"""When attempts are recalled for the second time: after this time every node knows of the pause."""
RECALL_SECONDS: Final = 60.0
"""Interval of further recalls, for nodes that started or were cut off meanwhile."""
PAGE_SIZE: Final = 256
"""Maximum number of tasks per shard that one step of a recall looks at."""


class PausedTypes(AnnouncedCache[frozenset[str]]):
    """The names of the paused types."""

    def __init__(self, store: Store, on_change: Callable[[], None]) -> None:
        super().__init__("paused types", PAUSED_CHANGED, partial(_read_names, store), frozenset(), on_change)

    @property
    def names(self) -> frozenset[str]:
        return self.value


async def _read_names(store: Store) -> frozenset[str]:
    return frozenset(name.decode() for name in await store.command("HKEYS", store.calls.paused_key))


class Recalls:
    """Recalls attempts of paused types that have not started.

    Args:
        active: whether this node is the one that does.
    """

    def __init__(
        self, store: Store, paused: PausedTypes, cancellations: Cancellations, active: Callable[[], bool]
    ) -> None:
        self._store = store
        self._paused = paused
        self._cancellations = cancellations
        self._active = active
        self._due_at: dict[str, float] = {}
        self._changed = asyncio.Event()
        self.loop = BackgroundLoop("recalls", self._round)

    def wake(self) -> None:
        """Starts the next round at once, because a type was paused."""
        self._changed.set()

    async def _round(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._changed.wait()
        self._changed.clear()
        names = self._paused.names if self._active() else frozenset()
        self._due_at = {name: due_at for name, due_at in self._due_at.items() if name in names}
        for name in names:
            first = name not in self._due_at
            if time.monotonic() >= self._due_at.get(name, 0.0):
                count = await self._recall(name)
                self._due_at[name] = time.monotonic() + (RECALL_AGAIN_SECONDS if first else RECALL_SECONDS)
                if count:
                    logger.info("%d attempts of the paused type %s are held again", count, name)

    async def _recall(self, name: str) -> int:
        """Looks at every QUEUED task of a type. Returns how many attempts were recalled."""
        skip, shards, count = 0, list(SHARDS), 0
        while shards and self._active():
            replies = await self._store.run_many(
                [self._store.calls.recall(digit, name, skip, PAGE_SIZE) for digit in shards]
            )
            for _, recalled in replies:
                count += len(recalled)
                for task_id, attempt in recalled:
                    self._cancellations.put_superseded(task_id, attempt)
            shards = [digit for digit, (looked_at, _) in zip(shards, replies, strict=True) if looked_at == PAGE_SIZE]
            skip += PAGE_SIZE
        metrics.labelled(metrics.HELD_TASKS, "recalled").inc(count)
        return count
