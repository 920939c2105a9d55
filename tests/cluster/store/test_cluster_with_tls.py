"""The store on a cluster as services run it: TLS with certificates whose names are checked, a user with a password for
nodes, another one with the rules for workers, which each server must be told."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.errors import StoreUnavailable
from cluster.settings import Settings, load_settings
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.record import TaskState
from cluster.store.thread_store import ThreadStore
from cluster.store.worker_acl import worker_rules
from tests.aws.certificates import Authority
from tests.engines import engine_binary
from tests.redis_cluster import RedisCluster, add_user, with_user

pytestmark = pytest.mark.slow

IDS = [f"{digit}{0:031x}" for digit in SHARDS]


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    folder = tmp_path_factory.mktemp("cluster")
    # The other engines' packages are built without TLS.
    cluster = RedisCluster(
        folder, binary=engine_binary("redis-7"), replicas=True, authority=Authority(folder / "authority")
    )
    cluster.start(sync="no")
    yield cluster
    cluster.stop()


@pytest.fixture
def settings(redis_server: RedisCluster, tmp_path: Path) -> Settings:
    """The settings of nodes."""
    add_user(redis_server.servers, "node", "~*", "&*", "+@all")
    return load_settings(
        {}, redis_url=with_user(redis_server.url, "node"), key_prefix=f"t{uuid.uuid4().hex[:8]}", data_dir=tmp_path
    )


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    store = Store(settings)
    yield store
    await store.close()


async def test_calls_and_notifications_use_tls_and_both_users_and_a_new_primary_must_know_the_workers(
    store: Store, settings: Settings, redis_server: RedisCluster
) -> None:
    primaries = [server for server in redis_server.servers if server.is_primary]
    add_user(primaries, "worker", *worker_rules(settings.key_prefix))
    threads = ThreadStore(replace(settings, redis_url=with_user(redis_server.url, "worker")), retry_seconds=20)
    calls = store.calls
    node = "node"
    pubsub = store.pubsub([calls.node_channel(node)], 60)
    try:
        await pubsub.open()
        await store.run_many([calls.submit(task_id, "t", "1", b"{}", node=node) for task_id in IDS])
        started = await asyncio.to_thread(threads.run_many, [calls.start(task_id, 1, "w") for task_id in IDS])
        assert {each.verdict for each in started} == {"RUN"}

        old = redis_server.primary_of(calls.shard_prefix(IDS[0][0]))
        new = redis_server.replica_of(old)
        await asyncio.to_thread(redis_server.fail_over, old)
        assert await store.run(calls.progress(IDS[0], 1, 0.5))
        # Rules of users are not replicated.
        with pytest.raises(StoreUnavailable, match="AuthenticationError"):
            await asyncio.to_thread(threads.run_once, calls.progress(IDS[0], 1, 0.6))
        result = asyncio.create_task(asyncio.to_thread(threads.run, calls.finish(IDS[0], 1, b"1")))
        await asyncio.to_thread(add_user, [new], "worker", *worker_rules(settings.key_prefix))
        async with asyncio.timeout(20):
            assert await result
        assert all(await asyncio.to_thread(threads.run_many, [calls.finish(task_id, 1, b"1") for task_id in IDS[1:]]))
        assert await store.count(TaskState.SUCCEEDED) == len(IDS)

        # The failover ended the subscription; a node opens another one.
        await pubsub.close()
        pubsub = store.pubsub([calls.node_channel(node)], 60)
        await pubsub.open()
        await asyncio.to_thread(threads.redis.publish, calls.node_channel(node), "news")
        async with asyncio.timeout(5):
            assert await anext(pubsub.messages()) == (calls.node_channel(node).encode(), b"news")
    finally:
        await pubsub.close()
        threads.close()
