"""The store on a cluster of three primaries and their replicas: calls find the primary of their keys, through failovers
and while a slot is moved. Some tests of a single Redis run here too; all of them do with TESTS_ENGINE=cluster."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.record import TaskState
from cluster.store.slots import slot_of
from cluster.store.thread_store import ThreadStore
from tests.cluster.api_node.conftest import deliveries  # noqa: F401 - a fixture
from tests.cluster.api_node.test_no_gap import (  # noqa: F401 - run here too
    test_thousands_of_subscribers_around_the_instant_of_the_end_all_get_the_record,
)
from tests.cluster.store.test_scripts import (  # noqa: F401 - run here too
    test_a_failing_attempt_is_retried_after_its_delay_as_often_as_allowed,
    test_cancelling_ends_an_open_task_and_changes_no_final_one,
    test_lost_scripts_are_loaded_again_without_running_anything_twice,
    test_only_watching_nodes_are_notified_and_only_of_what_they_want,
    test_the_fence_refuses_a_late_attempt,
    test_the_pages_of_one_state_and_name_continue_across_the_shards,
    test_what_has_expired_is_gone_from_reads_and_lists,
)
from tests.redis_cluster import ClusterServer, RedisCluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"), replicas=True, node_timeout_seconds=1)
    cluster.start(sync="no")
    yield cluster
    cluster.stop()


@pytest.fixture
def threads(settings: Settings) -> Iterator[ThreadStore]:
    store = ThreadStore(settings)
    yield store
    store.close()


def task_ids(count: int, digits: str = "".join(SHARDS)) -> list[str]:
    """Ids in all of these shards."""
    return [f"{digits[i % len(digits)]}{i:031x}" for i in range(count)]


async def run_task(store: Store, task_id: str) -> bool:
    """Takes a task from submission to its end; repeats what is refused, as nodes do."""
    calls = store.calls
    for call in (
        calls.submit(task_id, "t", "1", b"{}"),
        calls.start(task_id, 1, "w"),
        calls.finish(task_id, 1, b'"done"'),
    ):
        reply = await until_served(store, call)
    return bool(reply)


async def until_served(store: Store, call: Any) -> Any:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(StoreUnavailable):
                return await store.run(call)
            await asyncio.sleep(0.02)


def primary_of(cluster: RedisCluster, store: Store, digit: str) -> ClusterServer:
    return cluster.primary_of(store.calls.shard_prefix(digit))


async def test_tasks_of_all_shards_are_run_read_and_listed_on_several_primaries(
    store: Store, threads: ThreadStore, redis_server: RedisCluster
) -> None:
    ids, calls = task_ids(64), store.calls
    submitted = await store.run_many([calls.submit(task_id, "t", "1", b"{}") for task_id in ids])
    assert [each.outcome for each in submitted] == ["NEW"] * 64
    started = await asyncio.to_thread(threads.run_many, [calls.start(task_id, 1, "w") for task_id in ids])
    assert {each.verdict for each in started} == {"RUN"}
    assert all(await asyncio.gather(*(store.run(calls.finish(task_id, 1, task_id.encode())) for task_id in ids)))
    assert [record and record.result for record in await store.read_many(ids)] == [each.encode() for each in ids]
    assert {task_id for _, task_id in await store.list_tasks(100)} == set(ids)
    assert await store.count(TaskState.SUCCEEDED) == 64
    used, limit = await store.memory()
    assert 0 < used < limit
    assert len({primary_of(redis_server, store, digit).port for digit in SHARDS}) == 3


async def test_a_planned_failover_is_followed_without_a_refusal(
    store: Store, threads: ThreadStore, redis_server: RedisCluster
) -> None:
    ids = task_ids(16)
    await store.run_many([store.calls.submit(task_id, "t", "1", b"{}") for task_id in ids])
    await asyncio.to_thread(threads.run_many, [threads.calls.start(task_id, 1, "w") for task_id in ids])
    before = primary_of(redis_server, store, "0")
    await asyncio.to_thread(redis_server.fail_over, before)
    assert primary_of(redis_server, store, "0") is not before
    assert await asyncio.to_thread(threads.run_many, [threads.calls.progress(task_id, 1, 0.5) for task_id in ids])
    finished = [store.calls.finish(task_id, 1, b"1") for task_id in ids]
    replies = await store.run_many(finished)
    assert all(replies)
    assert store.unavailable_since is None


async def test_a_dead_primary_stops_its_own_shards_until_its_replica_takes_over_and_no_others(
    store: Store, redis_server: RedisCluster
) -> None:
    digits = {digit: primary_of(redis_server, store, digit) for digit in SHARDS}
    victim = digits["0"]
    others = "".join(digit for digit, server in digits.items() if server is not victim)
    await store.run_many([store.calls.submit(task_id, "t", "1", b"{}") for task_id in task_ids(16)])
    pubsub = store.pubsub([f"{store.calls.prefix}:c"], 60)
    await pubsub.open()
    victim.kill()
    try:
        with pytest.raises(StoreUnavailable):
            await store.run(store.calls.read("0" * 32))
        # Until the others take it for dead, they serve.
        for task_id in task_ids(len(others), others):
            await store.run(store.calls.read(task_id))
        assert store.unavailable_since is not None
        # What it published last may be lost, so the subscriber watches its tasks anew.
        async with asyncio.timeout(5):
            with pytest.raises(Exception):  # noqa: B017 - whatever a lost connection raises
                async for _ in pubsub.messages():
                    pass
        assert (await until_served(store, store.calls.read("0" * 32))).state is TaskState.QUEUED
        assert await run_task(store, "0" * 31 + "f")
        assert store.unavailable_since is None
    finally:
        await pubsub.close()
        await asyncio.to_thread(redis_server.restart, victim)


async def test_a_slot_that_is_moved_key_by_key_refuses_scripts_and_loses_nothing(
    store: Store, redis_server: RedisCluster
) -> None:
    ids = task_ids(30, "7")
    for task_id in ids[:20]:
        await run_task(store, task_id)
    slot = slot_of(store.calls.shard_prefix("7"))
    target = next(s for s in redis_server.servers if s.is_primary and s is not primary_of(redis_server, store, "7"))
    source = await asyncio.to_thread(redis_server.begin_to_move, slot, target)
    running = asyncio.gather(*(run_task(store, task_id) for task_id in ids[20:]))
    moved = True
    while moved:
        moved = await asyncio.to_thread(redis_server.move_keys, slot, source, target, 5)
        with pytest.raises(StoreUnavailable, match=r"TRYAGAIN|ASK"):
            await store.run(store.calls.submit("7" * 32, "t", "1", b"{}"))
        # Single keys are found on either side.
        assert await store.command("HGET", store.calls.record_key(ids[0]), "state") == b"SUCCEEDED"
        if source.ask("CLUSTER", "COUNTKEYSINSLOT", slot) == 0:
            break
    assert not running.done()
    await asyncio.to_thread(redis_server.end_move, slot, source, target)
    assert all(await running)
    records = await store.read_many(ids)
    assert [record and (record.state, record.attempt) for record in records] == [(TaskState.SUCCEEDED, 1)] * 30
    assert {task_id for _, task_id in await store.list_tasks(100)} == set(ids)


async def test_messages_of_every_primary_reach_a_subscriber(store: Store) -> None:
    node = f"node-{time.monotonic_ns()}"
    pubsub = store.pubsub([store.calls.node_channel(node)], 60)
    await pubsub.open()
    ids = task_ids(16)
    for task_id in ids:
        await store.run(store.calls.submit(task_id, "t", "1", b"{}", node=node))
    for task_id in ids:
        await store.run(store.calls.start(task_id, 1, "w"))
        await store.run(store.calls.finish(task_id, 1, b"1"))
    heard = set()
    async with asyncio.timeout(10):
        async for _, message in pubsub.messages():
            heard.add(message[:32].decode())
            if heard == set(ids):
                break
    await pubsub.close()
