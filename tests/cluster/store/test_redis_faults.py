"""A Redis that runs but does not serve is an unavailable store, whatever its error says, on every engine."""

from __future__ import annotations

import asyncio
import socket
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


class Name:
    """The name of a primary in DNS, as a managed service moves it: behind the failover, and after a time in which it
    has no address at all."""

    host = "primary.test"
    url = f"redis://{host}:6379/0"

    def __init__(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.port: int | None = port
        resolve = socket.getaddrinfo

        def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
            if host != self.host:
                return resolve(host, port, *arguments, **options)
            if self.port is None:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return resolve("127.0.0.1", self.port, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.one_server("a primary and its replica behind one name; of a cluster, nodes know all names")
async def test_connections_to_a_former_primary_are_closed_and_lead_to_the_new_one(
    pair: tuple[RedisServer, RedisServer], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = pair
    name = Name(old.port, monkeypatch)
    settings = replace(settings, redis_url=name.url, key_prefix=f"t{uuid.uuid4().hex[:8]}")
    store, threads = Store(settings), ThreadStore(settings)
    heard: asyncio.Queue[str] = asyncio.Queue()
    channel = f"{settings.key_prefix}:channel"

    async def listen() -> None:
        """As a node does."""
        while True:
            pubsub = store.pubsub([channel], 60)
            try:
                await pubsub.open()
                heard.put_nowait("open")
                async for _, message in pubsub.messages():
                    heard.put_nowait(message.decode())
            except (redis.exceptions.RedisError, OSError) as error:
                heard.put_nowait(str(error))
            finally:
                await pubsub.close()
            await asyncio.sleep(0.02)

    async def hears(text: str) -> None:
        while text not in await heard.get():
            pass

    listening = asyncio.create_task(listen())
    progress = store.calls.progress(ID, 1, 0.75)
    try:
        async with asyncio.timeout(30):
            await running(store)
            assert await asyncio.to_thread(threads.run_once, threads.calls.progress(ID, 1, 0.5))
            await hears("open")
            await in_step(store)
            # The old primary goes on as a replica: it closes no connection, and the name still leads to it.
            command("REPLICAOF", "NO", "ONE")(new)
            command("REPLICAOF", "127.0.0.1", new.port)(old)
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="READONLY"):
                    await store.run(progress)
                with pytest.raises(StoreUnavailable, match="READONLY"):
                    await asyncio.to_thread(threads.run_once, progress)
            # A subscription there would end without a word once the old primary no longer follows the new one.
            await hears("is a replica")
            with pytest.raises(redis.exceptions.ConnectionError, match="is a replica"):
                await asyncio.to_thread(threads.subscription(channel).open)
            name.port = None
            await hears("not known")
            with pytest.raises(StoreUnavailable, match="not known"):
                await store.run(progress)
            result = asyncio.create_task(asyncio.to_thread(threads.run, threads.calls.finish(ID, 1, b"{}")))
            name.port = new.port
            await served(lambda: store.run(progress))
            assert await result
            await hears("open")
            command("REPLICAOF", "NO", "ONE")(old)
            command("PUBLISH", channel, "news")(new)
            await hears("news")
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await store.close()
        threads.close()
    assert refusal_code(redis.exceptions.ReadOnlyError("You can't write against a read only replica.")) == "READONLY"
