"""The loop that registers this node's watches in Redis, renews them and removes them.

`watch` reads the record and makes Redis notify this node of changes. Every watch, renewal and unwatch goes through one
loop in order, so that a watch and an unwatch of the same task can never overtake each other.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from cluster.api_node.speculative_watch import SpeculativeWatches
from cluster.api_node.topics import Topics
from cluster.api_node.watch_queue import WatchQueue
from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.store.async_store import Store
from cluster.store.task_calls import WATCH_TTL_SECONDS
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

MAX_BATCH_BYTES: Final = 2 * 2**20
"""If the records of a batch have more bytes than this, the next batch is half as large."""
RENEWAL_SECONDS: Final = WATCH_TTL_SECONDS / 3
"""Interval at which all watches are renewed. This also repairs whatever a lost notification left behind."""


PART_SIZE: Final = 64
MAX_PARTS: Final = 600
"""Watches are renewed in parts of at least PART_SIZE, and in at most MAX_PARTS in RENEWAL_SECONDS."""


class WatchLoop:
    """Watches the topics of one node.

    Attributes:
        reads: number of reads that have begun.
    """

    def __init__(
        self, store: Store, node: str, queue: WatchQueue, topics: Topics, speculative: SpeculativeWatches
    ) -> None:
        self._store = store
        self._node = node
        self._queue = queue
        self._topics = topics
        self._speculative = speculative
        self.reads = 0
        self.loops = (
            BackgroundLoop("delivery", self._round, needed=True),
            BackgroundLoop("watch renewal", self._renew),
        )

    async def _renew(self) -> None:
        """Renews all watches, those of many tasks in parts: at once they would delay every result for seconds. A task
        that is watched since this round began is renewed in the next one, after 2 * RENEWAL_SECONDS at most."""
        parts = min(MAX_PARTS, len(self._topics) // PART_SIZE)
        if parts < 2:
            await asyncio.sleep(RENEWAL_SECONDS)
            self._topics.renew_all()
            return
        task_ids = list(self._topics)
        for part in range(parts):
            await asyncio.sleep(RENEWAL_SECONDS / parts)
            self._queue.renew(task_ids[part::parts])

    async def _round(self) -> None:
        """Unwatches and watches one batch each. No request is dropped while Redis is unavailable."""
        await self._queue.pending.wait()
        await self._unwatch_batch()
        batch = [task_id for task_id in self._queue.next_batch() if task_id in self._topics]
        try:
            if batch:
                await self._watch_batch(batch)
        except StoreUnavailable:
            # The batch may have been too large.
            self._queue.requeue(batch)
            raise
        except Exception:
            if len(batch) == 1:
                # This record alone cannot be read: continue with the others and retry it at the next renewal.
                metrics.BACKGROUND_FAILURES.labels("delivery").inc()
                logger.exception("the record of task %s cannot be read; it will be retried later", batch[0])
            else:
                logger.debug("one of %d records cannot be read; retrying in smaller batches", len(batch), exc_info=True)
                self._queue.requeue(batch)
        self._queue.clear_pending_if_empty()

    async def _watch_batch(self, task_ids: list[str]) -> None:
        self.reads += 1
        read, calls = self.reads, self._store.calls
        watched = await self._store.run_many(
            [calls.watch(task_id, self._node, every_event=self._topics[task_id].followed) for task_id in task_ids]
        )
        for task_id, found in zip(task_ids, watched, strict=True):
            self._topics.on_read(task_id, found.record, read)
        size = sum(len(found.record.input) + len(found.record.error or b"") for found in watched if found.record)
        if size > MAX_BATCH_BYTES:
            self._queue.shrink()
        else:
            self._queue.grow()

    async def _unwatch_batch(self) -> None:
        # A task whose subscribers came back in the meantime stays watched.
        task_ids = [task_id for task_id in self._queue.next_unwatched() if task_id not in self._topics]
        if not task_ids:
            return
        try:
            await self._store.run_many([self._store.calls.unwatch(task_id, self._node) for task_id in task_ids])
        except StoreUnavailable:
            self._queue.requeue_unwatched(task_ids)
            raise
        finally:
            for task_id in task_ids:
                self._speculative.invalidate(task_id)
                if task_id in self._topics:
                    # A subscriber arrived during the call and may rely on the watch that was just removed.
                    self._queue.request(task_id)
