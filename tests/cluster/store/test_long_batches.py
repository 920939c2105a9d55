"""A batch may take longer than the longest wait for one reply, however long its commands are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import redis.asyncio

from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.raw_pipeline import send_pipeline
from tests.scripted_redis import ScriptedRedis

LONG_COMMAND = "SET", "x", b"x" * 1_000_000
"""So many of these as a test sends do not fit into the buffers of a connection."""
REPLIES = 40


async def test_replies_count_while_later_commands_are_still_being_sent() -> None:
    """In lockstep: the server executes a command only when the reply to the one before has been counted."""
    counted = asyncio.Semaphore(1)

    async def execute(_: list[bytes]) -> None:
        await counted.acquire()

    async with ScriptedRedis(execute) as server:
        pool = redis.asyncio.ConnectionPool.from_url(server.url)
        assert await send_pipeline(pool, [LONG_COMMAND] * REPLIES, 60, counted.release) == [1] * REPLIES
        await pool.aclose()


class Clock:
    """Adds to the loop's time, so that a test waits hours in no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._added_seconds = 0.0
        time = asyncio.get_running_loop().time
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: time() + self._added_seconds)

    async def advance(self, seconds: float) -> None:
        self._added_seconds += seconds
        await asyncio.sleep(0)


@asynccontextmanager
async def store_of(server: ScriptedRedis, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A store that waits an hour for a reply."""
    for module in ("async_store", "server", "servers"):
        monkeypatch.setattr(f"cluster.store.{module}.TIMEOUT_SECONDS", 3600)
    async with server:
        store = Store(replace(settings, redis_url=server.url))
        try:
            yield store
        finally:
            await store.close()


async def test_each_reply_has_the_whole_timeout(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    half_an_hour = ScriptedRedis(lambda _: clock.advance(1800))
    async with store_of(half_an_hour, settings, monkeypatch) as store:
        assert await store.commands([("PING",)] * REPLIES) == [1] * REPLIES


async def test_a_reply_that_does_not_come_ends_the_batch(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, commands = Clock(monkeypatch), iter(range(2))

    async def execute(_: list[bytes]) -> None:
        if next(commands) > 0:
            while True:
                await clock.advance(60)

    async with store_of(ScriptedRedis(execute), settings, monkeypatch) as store:
        with pytest.raises(StoreUnavailable):
            await store.commands([("PING",)] * 2)
