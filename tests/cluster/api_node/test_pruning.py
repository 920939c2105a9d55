"""Expired tasks leave nothing behind, neither index entries nor blobs, whatever dies or is unavailable."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api_node.blob_deletion import BlobDeleter
from cluster.api_node.pruning import PAGE, Pruner
from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.blob_store import Deletion
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.leader_lease import LeaderLease
from cluster.store.thread_store import ThreadStore
from cluster.worker.task_context import RunningAttempt, enter, save_blob

SHARD = "7"


@pytest.fixture
async def brief(settings: Settings) -> AsyncIterator[Store]:
    """A store whose records expire after one second."""
    store = Store(replace(settings, result_ttl_seconds=1))
    yield store
    await store.close()


def an_id() -> str:
    return SHARD + uuid.uuid4().hex[1:]


async def until(condition: Callable[[], object], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def end(store: Store, task_ids: Sequence[str], *, how: str = "finish", tenant: str = "") -> None:
    calls = store.calls
    await store.run_many([calls.submit(task_id, "t", "1", b"{}", tenant=tenant) for task_id in task_ids])
    await store.run_many([calls.start(task_id, 1, "w") for task_id in task_ids])
    if how == "finish":
        await store.run_many([calls.finish(task_id, 1, b"1") for task_id in task_ids])
    elif how == "fail":
        await store.run_many([calls.fail(task_id, 1, error("TASK_FAILED", "no")) for task_id in task_ids])
    else:
        await store.run_many([calls.cancel(task_id) for task_id in task_ids])


async def keys_left(store: Store) -> list[str]:
    """All keys of the store except leases and times of rounds."""
    services = {"recoverer", "pruner", "blob_deleter", "pruned", "recovered"}
    found = [key.decode() async for key in store.redis.scan_iter(f"{store.calls.prefix}:*", count=1_000)]
    return [key for key in found if key.rsplit(":", 1)[1] not in services]


async def all_gone(store: Store, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while await keys_left(store):
            await asyncio.sleep(0.05)


async def test_one_round_prunes_all_expired_tasks_of_a_shard(brief: Store) -> None:
    await end(brief, [an_id() for _ in range(3 * PAGE)], tenant="acme")
    await end(brief, [an_id() for _ in range(2 * PAGE)], how="fail")
    await asyncio.sleep(1.1)
    pruner = Pruner(brief, "n")
    pruner.start()
    await until(lambda: pruner.loop.health.completed_at is not None)
    await all_gone(brief, 10)
    assert await brief.redis.get(brief.calls.pruned_key) is not None
    await pruner.close()


async def test_pruning_spares_a_task_that_runs_again(brief: Store) -> None:
    [task_id] = [an_id()]
    await end(brief, [task_id])
    expiry = f"{brief.calls.shard(task_id)}:expiry"
    entries = await brief.redis.zrange(expiry, 0, -1, withscores=True)
    await brief.run(brief.calls.submit(task_id, "t", "1", b"{}", recompute=True))
    # As left by an older release, or by a run that began between expiry and pruning.
    await brief.redis.zadd(expiry, {str(entries[0][0], "ascii"): 1, "no such entry": 2})  # type: ignore[arg-type]
    assert await brief.run(brief.calls.prune(SHARD, 10)) == 2
    assert await brief.redis.zcard(expiry) == 0
    assert [found for _, found in await brief.newest(5)] == [task_id]


async def test_a_lease_is_kept_during_work_that_takes_longer_and_is_released_at_its_end(store: Store) -> None:
    first = LeaderLease(store, "test", f"{store.calls.prefix}:lease", "first", seconds=1.0)
    second = LeaderLease(store, "test", f"{store.calls.prefix}:lease", "second", seconds=1.0)
    first.start()
    await until(lambda: first.held)
    second.start()
    # The work takes twice as long as the lease lasts.
    ends = time.monotonic() + 2.0
    while time.monotonic() < ends:
        assert first.held
        assert not second.held
        await asyncio.sleep(0.01)
    await first.close()
    assert not first.held
    await until(lambda: second.held, 2)
    assert (first.term, second.term) == (1, 1)
    await second.close()


async def test_a_lease_that_cannot_be_renewed_is_no_longer_held_once_another_node_can_take_it(store: Store) -> None:
    now = 100.0
    lease = LeaderLease(store, "test", f"{store.calls.prefix}:lease", "a", seconds=6.0, clock=lambda: now)
    await lease.renew()
    now = 105.9
    assert lease.held
    now = 106.0
    assert not lease.held


class Blobs(FolderBlobStore):
    """A folder that can be unavailable and records what it was asked to delete."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.away = False
        self.asked: list[list[str]] = []

    def delete_many(self, task_ids: Sequence[str], *, before: float) -> Deletion:
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
    settings: Settings, brief: Store, blobs: Blobs
) -> None:
    registered = {how: an_id() for how in ("finish", "fail", "cancel")}
    for how, task_id in registered.items():
        await with_blobs(settings, blobs, task_id)
        await end(brief, [task_id], how=how)
    # Without a record: the worker died before anything else was written, or Redis lost it.
    await with_blobs(settings, blobs, orphan := an_id())
    await brief.redis.zadd(f"{brief.calls.shard_prefix(SHARD)}:blobs", {orphan: 1})
    await end(brief, [an_id() for _ in range(50)])
    kept = an_id()
    await with_blobs(settings, blobs, kept)
    await brief.run(brief.calls.submit(kept, "t", "1", b"{}"))
    services = (Pruner(brief, "n"), BlobDeleter(settings, brief, blobs, "n"))
    for service in services:
        service.start()
    await until(lambda: len(list(blobs.folder.iterdir())) == 1, 20)
    assert [path.name for path in blobs.folder.iterdir()] == [kept]
    assert {task_id for asked in blobs.asked for task_id in asked} == {*registered.values(), orphan}
    async with asyncio.timeout(5):
        while await brief.redis.zrange(f"{brief.calls.shard_prefix(SHARD)}:blobs", 0, -1) != [kept.encode()]:
            await asyncio.sleep(0.02)
    for service in services:
        await service.close()


async def test_blobs_are_deleted_once_the_blob_store_is_available_or_by_another_node(
    settings: Settings, brief: Store, blobs: Blobs
) -> None:
    task_id = an_id()
    await with_blobs(settings, blobs, task_id)
    entries = f"{brief.calls.shard_prefix(SHARD)}:blobs"
    await brief.redis.zadd(entries, {task_id: 1})
    blobs.away = True
    deleter = BlobDeleter(settings, brief, blobs, "dies")
    deleter.start()
    await until(lambda: blobs.asked)
    await deleter.close()
    # It has claimed the task, which is due again later.
    assert await brief.run(brief.calls.claim_blobs(SHARD, 10)) == (0, [])
    assert (await brief.redis.zscore(entries, task_id) or 0) > time.time() * 1000 + 30_000
    blobs.away = False
    await brief.redis.zadd(entries, {task_id: 1})
    other = BlobDeleter(settings, brief, blobs, "other")
    other.start()
    await until(lambda: not list(blobs.folder.iterdir()))
    async with asyncio.timeout(5):
        while await brief.redis.exists(entries):
            await asyncio.sleep(0.02)
    await other.close()


async def test_a_run_that_begins_while_the_blobs_of_the_previous_one_are_deleted_keeps_its_entry(brief: Store) -> None:
    task_id = an_id()
    await brief.run(brief.calls.register_blobs(task_id, check_seconds=0))
    assert await brief.run(brief.calls.claim_blobs(SHARD, 10)) == (1, [task_id])
    await brief.run(brief.calls.submit(task_id, "t", "1", b"{}"))
    await brief.run(brief.calls.register_blobs(task_id))
    await brief.run(brief.calls.unregister_blobs(SHARD, [task_id]))
    assert await brief.redis.zcard(f"{brief.calls.shard_prefix(SHARD)}:blobs") == 1


async def test_an_ended_task_is_checked_when_it_expires_and_an_open_one_later(brief: Store) -> None:
    opened, ended = an_id(), an_id()
    await brief.run(brief.calls.submit(opened, "t", "1", b"{}"))
    await end(brief, [ended])
    for task_id in (opened, ended):
        await brief.run(brief.calls.register_blobs(task_id, check_seconds=0))
    assert await brief.run(brief.calls.claim_blobs(SHARD, 10)) == (2, [])
    record = await brief.read(ended)
    assert record is not None
    entries = f"{brief.calls.shard_prefix(SHARD)}:blobs"
    assert await brief.redis.zscore(entries, ended) == record.expires_at
    assert (await brief.redis.zscore(entries, opened) or 0) > time.time() * 1000 + 3_000_000


async def test_old_unregistered_folders_are_deleted_unless_their_task_exists(
    settings: Settings, brief: Store, blobs: Blobs
) -> None:
    import os

    stray, open_one = an_id(), an_id()
    await brief.run(brief.calls.submit(open_one, "t", "1", b"{}"))
    for task_id in (stray, open_one):
        blobs.write(f"{task_id}/1/a.txt", b"a")
        long_ago = time.time() - 30 * 86_400
        os.utime(blobs.folder / task_id / "1", (long_ago, long_ago))
        os.utime(blobs.folder / task_id, (long_ago, long_ago))
    blobs.write(f"{(fresh := an_id())}/1/a.txt", b"a")
    deleter = BlobDeleter(settings, brief, blobs, "n")
    deleter.start()
    await until(lambda: not (blobs.folder / stray).exists())
    await until(lambda: deleter.loop.health.completed_at is not None)
    assert {path.name for path in blobs.folder.iterdir()} == {open_one, fresh}
    await deleter.close()
