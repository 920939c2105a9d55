"""Deletes files that no task needs any more, and bytes that never became a file's.

A file stays for FILE_TTL_SECONDS after its last use, and as long as a task that uses it has a record. Redis knows its
users; a user's record is in another shard, so it is looked up here, and one script decides by what was found. The bytes
are deleted only after that, by their place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from cluster.observability import metrics
from cluster.store.async_store import Store
from cluster.store.blob_store import BlobStore
from cluster.store.file_calls import FileUser

logger = logging.getLogger(__name__)

PAGE_SIZE: Final = 100
"""Maximum number of files, or places, in one call."""
LOOK_AGAIN_MILLISECONDS: Final = 3_600_000
"""How much later a task without an end is looked up again."""


async def delete_files(store: Store, blobs: BlobStore, digit: str, is_active: Callable[[], bool]) -> None:
    """Deletes all that is due in a shard.

    Args:
        is_active: whether this node may still do it.

    Raises:
        StoreUnavailable: Redis does not answer; what is left is deleted in the next round.
    """
    claimed = PAGE_SIZE
    while claimed >= PAGE_SIZE and is_active():
        files = await store.run(store.calls.claim_files(digit, PAGE_SIZE))
        claimed = len(files)
        for tenant, sha256, users in files:
            await store.run(store.calls.check_file(tenant, sha256, await _look_up(store, users)))
    claimed = PAGE_SIZE
    while claimed >= PAGE_SIZE and is_active():
        places = await store.run(store.calls.claim_places(digit, PAGE_SIZE))
        claimed = len(places)
        if places:
            await _delete(store, blobs, digit, places)


async def _look_up(store: Store, users: list[FileUser]) -> list[tuple[FileUser, int | None]]:
    """Each task with when to look it up again; None if its record is gone."""
    records = await store.read_many([user.task_id for user in users], inputs=False, results=False) if users else []
    return [
        (user, None if record is None else record.expires_at or int(user.due) + LOOK_AGAIN_MILLISECONDS)
        for user, record in zip(users, records, strict=True)
    ]


async def _delete(store: Store, blobs: BlobStore, digit: str, places: list[str]) -> None:
    deletion = await asyncio.to_thread(blobs.delete_many, places, before=None)
    if deletion.deleted:
        await store.run(store.calls.unregister_places(digit, deletion.deleted))
    metrics.BLOB_DELETIONS.labels("deleted").inc(len(deletion.deleted))
    if failed := len(places) - len(deletion.deleted):
        metrics.BLOB_DELETIONS.labels("failed").inc(failed)
        logger.warning("deleting the bytes of %d files failed and will be retried: %s", failed, deletion.problem)
