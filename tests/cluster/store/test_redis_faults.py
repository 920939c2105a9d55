"""A Redis that runs but does not serve is an unavailable store, whatever its error says, on every engine."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis.exceptions

from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import TaskState
from cluster.store.refusals import refusal_code
from cluster.store.thread_store import ThreadStore
from tests.forwarder import Forwarder
from tests.redis_cluster import RedisCluster, server_of
from tests.redis_faults import FAULTS, command, fault, flush_scripts
from tests.system import RedisServer

pytestmark = pytest.mark.every_engine

ID = "0" * 31 + "1"
NO_REPLICAS_BY_HAND = pytest.mark.one_server("REPLICAOF is refused in a cluster: test_cluster_mode.py has failovers")
MARKS = {"paused": pytest.mark.slow, "read-only": NO_REPLICAS_BY_HAND}
# A server that loads was started anew: that costs the shared one its state, and is tested with a whole system.
REFUSALS = [pytest.param(name, marks=MARKS.get(name, ())) for name in FAULTS if name != "loading"]


@pytest.fixture
def threads(settings: Settings) -> Iterator[ThreadStore]:
    store = ThreadStore(settings)
    yield store
    store.close()


async def running(store: Store) -> None:
    """Starts a task's first attempt."""
    await store.run(store.calls.submit(ID, "t", "1", b"{}"))
    assert (await store.run(store.calls.start(ID, 1, "w"))).verdict == "RUN"


async def served(work: Callable[[], Any], seconds: float = 5) -> None:
    """Returns when the store serves."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await work()
                return
            except StoreUnavailable:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_redis_that_refuses_is_unavailable_to_every_kind_of_call_and_serves_again(
    name: str, redis_server: RedisServer | RedisCluster, store: Store, threads: ThreadStore
) -> None:
    await running(store)
    await asyncio.to_thread(threads.run_once, threads.calls.progress(ID, 1, 0.5))
    delivered: asyncio.Task[Any] | None = None
    calls = store.calls
    plain = f"{calls.shard_prefix(ID[0])}:plain"
    with fault(name, server_of(redis_server, plain)) as begun:
        code = begun.code or "does not answer"
        with pytest.raises(StoreUnavailable, match=code):
            await store.run(calls.progress(ID, 1, 0.6))
        with pytest.raises(StoreUnavailable, match=code):
            await store.run_many([calls.progress(ID, 1, 0.6), calls.progress(ID, 1, 0.7)])
        with pytest.raises(StoreUnavailable, match=code):
            await store.command("SET", plain, "x")
        if name != "paused":
            # A paused Redis executes what it received once the pause is over.
            with pytest.raises(StoreUnavailable, match=code):
                await asyncio.to_thread(threads.run_once, calls.progress(ID, 1, 0.8))
        # A worker keeps its result until Redis serves again.
        delivered = asyncio.create_task(asyncio.to_thread(threads.run, calls.finish(ID, 1, b'"done"')))
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        assert await delivered
    await served(lambda: store.command("SET", plain, "x", "PX", 1000))
    record = await store.read(ID)
    assert record is not None
    assert (record.state, record.result) == (TaskState.SUCCEEDED, b'"done"')
    assert store.unavailable_since is None


async def test_scripts_that_redis_forgot_are_sent_again_and_none_runs_twice(
    redis_server: RedisServer | RedisCluster, store: Store, threads: ThreadStore
) -> None:
    await running(store)
    server = server_of(redis_server, store.calls.record_key(ID))
    flush_scripts(server)
    assert await store.run(store.calls.progress(ID, 1, 0.25))
    flush_scripts(server)
    # Redis knows the first script again, but not the second: only the call that did not run is sent again.
    command("SCRIPT", "LOAD", store.calls.submit(ID, "t", "1", b"{}").script.source)(server)
    other = "0" * 31 + "2"
    answers = threads.run_many([threads.calls.submit(other, "t", "1", b"{}"), threads.calls.progress(ID, 1, 0.5)])
    assert answers[0].outcome == "NEW"
    assert (await store.read_many([other]))[0].submissions == 1  # type: ignore[union-attr]


@pytest.fixture
async def pair(engine: Path, tmp_path: Path) -> AsyncIterator[tuple[RedisServer, RedisServer]]:
    """A primary and its replica, in sync."""
    servers = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        server = RedisServer(folder, binary=engine)
        server.start()
        servers.append(server)
    first, second = servers
    command("REPLICAOF", "127.0.0.1", first.port)(second)
    yield first, second
    for server in servers:
        server.kill()


async def in_step(store: Store) -> None:
    """Returns once the replica has every write so far."""
    async with asyncio.timeout(20):
        # WAIT covers the writes of its own connection.
        while await store.redis.eval("redis.call('SET', KEYS[1], 1) return 1", 1, "step") and not (
            await store.command("WAIT", 1, 500)
        ):
            pass


@pytest.mark.one_server("a primary and its replica behind one name; of a cluster, nodes know all names")
async def test_connections_to_a_former_primary_are_closed_and_lead_to_the_new_one(
    pair: tuple[RedisServer, RedisServer], settings: Settings
) -> None:
    old, new = pair
    async with Forwarder(old.port) as name:
        settings = replace(settings, redis_url=name.url, key_prefix=f"t{uuid.uuid4().hex[:8]}")
        store, threads = Store(settings), ThreadStore(settings)
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        channel = f"{settings.key_prefix}:channel"

        async def listen() -> None:
            while True:
                pubsub = store.pubsub([channel], 60)
                try:
                    await pubsub.open()
                    heard.put_nowait(b"open")
                    async for _, message in pubsub.messages():
                        heard.put_nowait(message)
                except (redis.exceptions.RedisError, OSError):
                    await pubsub.close()

        listening = asyncio.create_task(listen())
        try:
            await running(store)
            assert await asyncio.to_thread(threads.run_once, threads.calls.progress(ID, 1, 0.5))
            assert await heard.get() == b"open"
            await in_step(store)
            # The replica is promoted, the name moves to it, and the old primary continues as its replica: it closes no
            # connection.
            name.target = new.port
            command("REPLICAOF", "NO", "ONE")(new)
            command("REPLICAOF", "127.0.0.1", new.port)(old)
            began = time.monotonic()
            await served(lambda: store.run(store.calls.progress(ID, 1, 0.75)))
            assert await asyncio.to_thread(threads.run, threads.calls.finish(ID, 1, b"{}"))
            assert time.monotonic() - began < 5
            # The subscription leads to the new primary; the old one would deliver the message only by replication.
            assert await heard.get() == b"open"
            command("PUBLISH", channel, "news")(new)
            assert await heard.get() == b"news"
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await store.close()
            threads.close()
    assert refusal_code(redis.exceptions.ReadOnlyError("You can't write against a read only replica.")) == "READONLY"
