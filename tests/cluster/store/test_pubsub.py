"""The pub/sub connection of a node: every message is received, and a lost connection is reported."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as ConnectionLost

from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.pubsub import PubSubConnection


class Wire:
    """A proxy between a client and Redis, which can stop forwarding without closing."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = parts.hostname, parts.port
        self.carries = True
        self.sent = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        await asyncio.gather(self._carry(reader, back, mine=True), self._carry(there, writer, mine=False))

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, mine: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                if mine:
                    self.sent += data
                if self.carries:
                    target.write(data)
        target.close()


@pytest.fixture
async def wire(settings: Settings) -> AsyncIterator[tuple[Wire, PubSubConnection]]:
    carrier = Wire(settings.redis_url)
    server = await asyncio.start_server(carrier.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = redis.asyncio.ConnectionPool.from_url(f"redis://127.0.0.1:{port}/0")
    pubsub = PubSubConnection(pool, ["one", "two"], 0.1)
    yield carrier, pubsub
    await pubsub.close()
    server.close()


async def test_every_message_is_received_in_order(store: Store, settings: Settings) -> None:
    channels = [f"{settings.key_prefix}:a", f"{settings.key_prefix}:b"]
    pubsub = store.pubsub(channels, 5.0)
    await pubsub.open()
    async with asyncio.timeout(10):
        await store.commands([("PUBLISH", channels[number % 2], number) for number in range(5_000)])
        messages = pubsub.messages()
        for number in range(5_000):
            assert await anext(messages) == (channels[number % 2].encode(), b"%d" % number)
    await pubsub.close()


async def test_an_idle_connection_is_pinged_and_kept(wire: tuple[Wire, PubSubConnection], store: Store) -> None:
    carrier, pubsub = wire
    await pubsub.open()
    messages = pubsub.messages()
    waiting = asyncio.ensure_future(anext(messages))
    async with asyncio.timeout(10):
        while carrier.sent.count(b"PING") < 3:
            await asyncio.sleep(0.02)
        await store.command("PUBLISH", "two", "still here")
        assert await waiting == (b"two", b"still here")


async def test_a_half_open_connection_is_reported_as_lost(wire: tuple[Wire, PubSubConnection]) -> None:
    carrier, pubsub = wire
    await pubsub.open()
    carrier.carries = False
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionLost):
            await anext(pubsub.messages())
