"""Pruning: removes tasks whose records have expired from the indexes.

Redis deletes expired records by itself, but members of sorted sets cannot expire. Blobs of expired tasks are deleted by
`blob_deletion.py`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from cluster.api_node.leader_service import LeaderService
from cluster.observability import metrics
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS

ROUND_SECONDS: Final = 5.0
"""Pause between two rounds."""
PAGE_SIZE: Final = 200
"""Maximum number of tasks in one call, during which Redis serves no other client: about 2 ms."""
PAUSE_SECONDS: Final = 0.01
"""Pause after a full page, which leaves most of Redis's time to other clients. It does not depend on how long the page
took, because on a busy node most of that is the node's own time."""


class Pruner(LeaderService):
    """One node's candidate for pruning."""

    def __init__(self, store: Store, node: str) -> None:
        super().__init__(store, "pruning", store.calls.pruner_key, node, pause_seconds=ROUND_SECONDS)

    async def _round(self) -> None:
        """Prunes all expired tasks of every shard."""
        await self.lease.acquired()
        calls = self._store.calls
        for digit in SHARDS:
            while True:
                if not self.active:
                    return
                count = await self._store.run(calls.prune(digit, PAGE_SIZE))
                metrics.PRUNED.inc(count)
                if count < PAGE_SIZE:
                    break
                await asyncio.sleep(PAUSE_SECONDS)
        await self._store.run(calls.record_time(calls.pruned_key))
