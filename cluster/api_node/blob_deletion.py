"""Deletion of blobs: what expired tasks have left in the blob store.

A worker notes a task in Redis before it writes its first blob, so only tasks that have blobs are looked at, whatever
became of their attempts. The note stays until the blobs are deleted: a deleter that dies, or a blob store that is away,
costs no more than a minute. One deleter is active at a time, by a lease in Redis; every api node is a candidate.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from cluster.observability import metrics
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.blob_store import BlobStore, FolderBlobStore
from cluster.store.keys import SHARDS
from cluster.store.leader_lease import LeaderLease
from cluster.system.background import BackgroundLoop
from cluster.task_types.task_id import TASK_ID

logger = logging.getLogger(__name__)

ROUND_SECONDS: Final = 5.0
"""Pause between two rounds."""
PAGE: Final = 200
"""Most tasks whose blobs are deleted in one step."""
STRAY_SECONDS: Final = 3_600.0
"""How often a folder is searched for blobs of tasks that nobody noted. An S3 bucket has a lifecycle rule for those."""
STRAY_AGE_SECONDS: Final = 86_400.0
"""Blobs that nobody noted are left alone for twice a record's time to live and this."""


class BlobDeleter:
    """A candidate for the deletion of blobs on one node.

    Args:
        node: this node's id, unique among living nodes.
    """

    def __init__(self, settings: Settings, store: Store, blobs: BlobStore, node: str) -> None:
        self._ttl_seconds = settings.result_ttl_seconds
        self._store = store
        self._blobs = blobs
        self.lease = LeaderLease(store, "deletion of blobs", store.calls.blob_deleter_key, node)
        self.loop = BackgroundLoop("deletion of blobs", self._round, pause_seconds=ROUND_SECONDS)
        self._strays_at = 0.0

    def start(self) -> None:
        self.lease.start()
        self.loop.start()

    async def close(self) -> None:
        """Stops, and lets another candidate take over at once."""
        await self.loop.close()
        await self.lease.close()

    async def _round(self) -> None:
        """Deletes what can be deleted in every shard."""
        await self.lease.acquired()
        if time.monotonic() >= self._strays_at:
            self._strays_at = time.monotonic() + STRAY_SECONDS
            await self._note_strays()
        for digit in SHARDS:
            looked = PAGE
            while looked >= PAGE and self.lease.held:
                looked, task_ids = await self._store.run(self._store.calls.claim_blobs(digit, PAGE))
                if task_ids:
                    await self._delete(digit, task_ids)

    async def _delete(self, digit: str, task_ids: list[str]) -> None:
        # A task may be submitted again meanwhile, and write new blobs under its old id.
        deletion = await asyncio.to_thread(self._blobs.delete_many, task_ids, before=time.time())
        if deletion.deleted:
            await self._store.run(self._store.calls.unregister_blobs(digit, deletion.deleted))
        metrics.BLOB_DELETIONS.labels("deleted").inc(len(deletion.deleted))
        if failed := len(task_ids) - len(deletion.deleted):
            metrics.BLOB_DELETIONS.labels("failed").inc(failed)
            logger.warning("the blobs of %d tasks are deleted later: %s", failed, deletion.problem)

    async def _note_strays(self) -> None:
        """Notes tasks whose folders are older than any record: of releases that did not note them, or of a Redis that
        lost its notes."""
        if not self._ttl_seconds or not isinstance(self._blobs, FolderBlobStore):
            return
        names = await asyncio.to_thread(self._blobs.folders_older_than, 2 * self._ttl_seconds + STRAY_AGE_SECONDS)
        calls = self._store.calls
        for name in names:
            if TASK_ID.fullmatch(name):
                await self._store.run(calls.register_blobs(name, check_seconds=0))
