"""Pruning: tasks whose records have expired are taken out of the lists.

Redis drops the records by itself; the members of its sorted sets cannot expire. One pruner is active at a time, by a
lease in Redis; every api node is a candidate. What is left in the blob store is deleted by `delete_blobs.py`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from cluster.observability import metrics
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.leader_lease import LeaderLease
from cluster.system.background import BackgroundLoop

ROUND_SECONDS: Final = 5.0
"""Pause between two rounds."""
PAGE: Final = 200
"""Most tasks in one step, for which Redis serves nobody else: some 2 ms."""
PAUSE_SECONDS: Final = 0.01
"""Pause after a full page, so that others have most of Redis's time. Not by how long the page took: that is mostly this
node's own time where it is busy."""


class Pruner:
    """A candidate for pruning on one node.

    Args:
        node: this node's id, unique among living nodes.
    """

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self.lease = LeaderLease(store, "pruning", store.calls.pruner_key, node)
        self.loop = BackgroundLoop("pruning", self._round, pause_seconds=ROUND_SECONDS)

    def start(self) -> None:
        self.lease.start()
        self.loop.start()

    async def close(self) -> None:
        """Stops, and lets another candidate take over at once."""
        await self.loop.close()
        await self.lease.close()

    async def _round(self) -> None:
        """Prunes every shard until nothing is left that has expired."""
        await self.lease.acquired()
        for digit in SHARDS:
            while True:
                if not self.lease.held:
                    return
                count = await self._store.run(self._store.calls.prune(digit, PAGE))
                metrics.PRUNED.inc(count)
                if count < PAGE:
                    break
                await asyncio.sleep(PAUSE_SECONDS)
        await self._store.run(self._store.calls.record_time(self._store.calls.pruned_key))
