"""Pruning: expired tasks leave no index entry behind."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from cluster.api_node.pruning import PAGE_SIZE, Pruner
from cluster.attempt_errors import error
from cluster.store.async_store import Store
from tests.polling import until

SHARD = "7"


def an_id() -> str:
    return SHARD + uuid.uuid4().hex[1:]


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
    # What the history counts of them stays for its own time.
    return [key for key in found if key.rsplit(":", 1)[1] not in services and ":ends:" not in key]


async def all_gone(store: Store, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while await keys_left(store):
            await asyncio.sleep(0.05)


async def test_one_round_prunes_all_expired_tasks_of_a_shard(expiring_store: Store) -> None:
    await end(expiring_store, [an_id() for _ in range(3 * PAGE_SIZE)], tenant="acme")
    await end(expiring_store, [an_id() for _ in range(2 * PAGE_SIZE)], how="fail")
    await asyncio.sleep(1.1)
    pruner = Pruner(expiring_store, "n")
    pruner.start()
    await until(lambda: pruner.loop.health.completed_at is not None)
    await all_gone(expiring_store, 10)
    assert await expiring_store.redis.get(expiring_store.calls.pruned_key) is not None
    await pruner.close()


async def test_pruning_spares_a_task_that_runs_again(expiring_store: Store) -> None:
    [task_id] = [an_id()]
    await end(expiring_store, [task_id])
    expiry = f"{expiring_store.calls.shard(task_id)}:expiry"
    entries = await expiring_store.redis.zrange(expiry, 0, -1, withscores=True)
    await expiring_store.run(expiring_store.calls.submit(task_id, "t", "1", b"{}", recompute=True))
    # As left by an older release, or by a run that began between expiry and pruning.
    await expiring_store.redis.zadd(expiry, {str(entries[0][0], "ascii"): 1, "no such entry": 2})  # type: ignore[arg-type]
    assert await expiring_store.run(expiring_store.calls.prune(SHARD, 10)) == 2
    assert await expiring_store.redis.zcard(expiry) == 0
    assert [found for _, found in await expiring_store.list_tasks(5)] == [task_id]
