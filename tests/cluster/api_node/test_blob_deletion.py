"""Blobs of expired tasks are deleted, whatever dies or is unavailable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cluster.api_node.blob_deletion import BlobDeleter
from cluster.api_node.pruning import Pruner
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.blob_store import Deletion
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.thread_store import ThreadStore
from cluster.worker.saved_blobs import save_blob
from cluster.worker.task_context import RunningAttempt, enter
from tests.cluster.api_node.test_pruning import SHARD, an_id, end
from tests.polling import until


class Blobs(FolderBlobStore):
    """A folder that can be unavailable and records what it was asked to delete."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.away = False
        self.asked: list[list[str]] = []

    def delete_many(self, task_ids: Sequence[str], *, before: float | None) -> Deletion:
        self.asked.append(list(task_ids))
        return Deletion([], "away") if self.away else super().delete_many(task_ids, before=before)


@pytest.fixture
async def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


async def with_blobs(settings: Settings, blobs: FolderBlobStore, task_id: str, attempt: int = 1) -> None:
    """Saves blobs as a task function does in its thread."""
    store = ThreadStore(settings)

    def run() -> None:
        enter(
            RunningAttempt(
                task_id, attempt, blobs, lambda value: b"", lambda: store.run(store.calls.register_blobs(task_id))
            )
        )
        save_blob("a.txt", b"a")
        save_blob("b.txt", b"b")
        enter(None)

    await asyncio.to_thread(run)
    store.close()


async def test_blobs_are_deleted_with_their_record_however_the_attempts_ended_and_no_others_are_checked(
    settings: Settings, expiring_store: Store, blobs: Blobs
) -> None:
    registered = {how: an_id() for how in ("finish", "fail", "cancel")}
    for how, task_id in registered.items():
        await with_blobs(settings, blobs, task_id)
        await end(expiring_store, [task_id], how=how)
    # Without a record: the worker died before anything else was written, or Redis lost it.
    await with_blobs(settings, blobs, orphan := an_id())
    await expiring_store.redis.zadd(f"{expiring_store.calls.shard_prefix(SHARD)}:blobs", {orphan: 1})
    await end(expiring_store, [an_id() for _ in range(50)])
    kept = an_id()
    await with_blobs(settings, blobs, kept)
    await expiring_store.run(expiring_store.calls.submit(kept, "t", "1", b"{}"))
    services = (Pruner(expiring_store, "n"), BlobDeleter(settings, expiring_store, blobs, "n"))
    for service in services:
        service.start()
    await until(lambda: len(list(blobs.folder.iterdir())) == 1, 20)
    assert [path.name for path in blobs.folder.iterdir()] == [kept]
    assert {task_id for asked in blobs.asked for task_id in asked} == {*registered.values(), orphan}
    async with asyncio.timeout(5):
        while await expiring_store.redis.zrange(f"{expiring_store.calls.shard_prefix(SHARD)}:blobs", 0, -1) != [
            kept.encode()
        ]:
            await asyncio.sleep(0.02)
    for service in services:
        await service.close()


async def test_blobs_are_deleted_once_the_blob_store_is_available_or_by_another_node(
    settings: Settings, expiring_store: Store, blobs: Blobs
) -> None:
    task_id = an_id()
    await with_blobs(settings, blobs, task_id)
    entries = f"{expiring_store.calls.shard_prefix(SHARD)}:blobs"
    await expiring_store.redis.zadd(entries, {task_id: 1})
    blobs.away = True
    deleter = BlobDeleter(settings, expiring_store, blobs, "dies")
    deleter.start()
    await until(lambda: blobs.asked)
    await deleter.close()
    # It has claimed the task, which is due again later.
    assert await expiring_store.run(expiring_store.calls.claim_blobs(SHARD, 10)) == (0, [])
    assert (await expiring_store.redis.zscore(entries, task_id) or 0) > time.time() * 1000 + 30_000
    blobs.away = False
    await expiring_store.redis.zadd(entries, {task_id: 1})
    other = BlobDeleter(settings, expiring_store, blobs, "other")
    other.start()
    await until(lambda: not list(blobs.folder.iterdir()))
    async with asyncio.timeout(5):
        while await expiring_store.redis.exists(entries):
            await asyncio.sleep(0.02)
    await other.close()


async def test_a_run_that_begins_while_the_blobs_of_the_previous_one_are_deleted_keeps_its_entry(
    expiring_store: Store,
) -> None:
    task_id = an_id()
    await expiring_store.run(expiring_store.calls.register_blobs(task_id, check_seconds=0))
    assert await expiring_store.run(expiring_store.calls.claim_blobs(SHARD, 10)) == (1, [task_id])
    await expiring_store.run(expiring_store.calls.submit(task_id, "t", "1", b"{}"))
    await expiring_store.run(expiring_store.calls.register_blobs(task_id))
    await expiring_store.run(expiring_store.calls.unregister_blobs(SHARD, [task_id]))
    assert await expiring_store.redis.zcard(f"{expiring_store.calls.shard_prefix(SHARD)}:blobs") == 1


async def test_an_ended_task_is_checked_when_it_expires_and_an_open_one_later(expiring_store: Store) -> None:
    opened, ended = an_id(), an_id()
    await expiring_store.run(expiring_store.calls.submit(opened, "t", "1", b"{}"))
    await end(expiring_store, [ended])
    for task_id in (opened, ended):
        await expiring_store.run(expiring_store.calls.register_blobs(task_id, check_seconds=0))
    assert await expiring_store.run(expiring_store.calls.claim_blobs(SHARD, 10)) == (2, [])
    record = await expiring_store.read(ended)
    assert record is not None
    entries = f"{expiring_store.calls.shard_prefix(SHARD)}:blobs"
    assert await expiring_store.redis.zscore(entries, ended) == record.expires_at
    assert (await expiring_store.redis.zscore(entries, opened) or 0) > time.time() * 1000 + 3_000_000


async def test_old_unregistered_folders_are_deleted_unless_their_task_exists(
    settings: Settings, expiring_store: Store, blobs: Blobs
) -> None:
    import os

    stray, open_one = an_id(), an_id()
    await expiring_store.run(expiring_store.calls.submit(open_one, "t", "1", b"{}"))
    for task_id in (stray, open_one):
        blobs.write(f"{task_id}/1/a.txt", b"a")
        long_ago = time.time() - 30 * 86_400
        os.utime(blobs.folder / task_id / "1", (long_ago, long_ago))
        os.utime(blobs.folder / task_id, (long_ago, long_ago))
    blobs.write(f"{(fresh := an_id())}/1/a.txt", b"a")
    deleter = BlobDeleter(settings, expiring_store, blobs, "n")
    deleter.start()
    await until(lambda: not (blobs.folder / stray).exists())
    await until(lambda: deleter.loop.health.completed_at is not None)
    assert {path.name for path in blobs.folder.iterdir()} == {open_one, fresh}
    await deleter.close()
