"""Deletes the blobs of expired tasks, and files that nobody uses (file_deletion.py).

A worker registers a task in Redis before it writes the task's first blob, so only tasks with blobs are checked, however
their attempts ended. The entry is removed only after the blobs are deleted: a deleter that dies or a blob store that is
unavailable causes a delay of one minute at most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from cluster.api_node.file_deletion import delete_files
from cluster.api_node.leader_service import LeaderService
from cluster.observability import metrics
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.blob_store import BlobStore
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.keys import SHARDS
from cluster.task_types.task_id import TASK_ID

logger = logging.getLogger(__name__)

ROUND_SECONDS: Final = 5.0
"""Pause between two rounds."""
PAGE_SIZE: Final = 200
"""Maximum number of tasks whose blobs are deleted in one call."""
ORPHAN_SEARCH_SECONDS: Final = 3_600.0
"""Interval at which a folder is searched for blobs of unregistered tasks. (In an S3 bucket a lifecycle rule deletes
those.)"""
ORPHAN_AGE_SECONDS: Final = 86_400.0
"""Unregistered blobs are kept for this long, plus twice the time to live of a record."""


class BlobDeleter(LeaderService):
    """One node's candidate for the deletion of blobs."""

    def __init__(self, settings: Settings, store: Store, blobs: BlobStore, node: str) -> None:
        super().__init__(store, "blob deletion", store.calls.blob_deleter_key, node, pause_seconds=ROUND_SECONDS)
        self._ttl_seconds = settings.result_ttl_seconds
        self._blobs = blobs
        self._next_orphan_search = 0.0

    async def _round(self) -> None:
        """Deletes the blobs of all expired tasks, and unused files, in every shard."""
        await self.lease.acquired()
        if time.monotonic() >= self._next_orphan_search:
            self._next_orphan_search = time.monotonic() + ORPHAN_SEARCH_SECONDS
            await self._register_orphans()
            if isinstance(self._blobs, FolderBlobStore):
                await asyncio.to_thread(self._blobs.delete_unfinished, ORPHAN_AGE_SECONDS)
        for digit in SHARDS:
            checked = PAGE_SIZE
            while checked >= PAGE_SIZE and self.active:
                checked, task_ids = await self._store.run(self._store.calls.claim_blobs(digit, PAGE_SIZE))
                if task_ids:
                    await self._delete(digit, task_ids)
            await delete_files(self._store, self._blobs, digit, lambda: self.active)

    async def _delete(self, digit: str, task_ids: list[str]) -> None:
        # Only blobs older than now: the task may be submitted again meanwhile and write new blobs under the same id.
        deletion = await asyncio.to_thread(self._blobs.delete_many, task_ids, before=time.time())
        if deletion.deleted:
            await self._store.run(self._store.calls.unregister_blobs(digit, deletion.deleted))
        metrics.BLOB_DELETIONS.labels("deleted").inc(len(deletion.deleted))
        if failed := len(task_ids) - len(deletion.deleted):
            metrics.BLOB_DELETIONS.labels("failed").inc(failed)
            logger.warning("deleting the blobs of %d tasks failed and will be retried: %s", failed, deletion.problem)

    async def _register_orphans(self) -> None:
        """Registers tasks whose folders are older than any record: written by a release that did not register tasks, or
        registered in a Redis that has since lost its data."""
        if not self._ttl_seconds or not isinstance(self._blobs, FolderBlobStore):
            return
        names = await asyncio.to_thread(self._blobs.folders_older_than, 2 * self._ttl_seconds + ORPHAN_AGE_SECONDS)
        calls = self._store.calls
        for name in names:
            if TASK_ID.fullmatch(name):
                await self._store.run(calls.register_blobs(name, check_seconds=0))
