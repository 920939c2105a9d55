"""The client of the store for asyncio code: api nodes, scheduler, controller and the nanny of a worker."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.auto_pipeline import AutoPipeline
from cluster.store.lua_scripts import SCRIPTS, Call
from cluster.store.pubsub import PubSubConnection
from cluster.store.raw_pipeline import send_pipeline
from cluster.store.record_queries import RecordQueries
from cluster.store.refusals import is_demoted_primary
from cluster.store.round_trip import (
    MAX_CONNECTIONS,
    TIMEOUT_SECONDS,
    handshake,
    measured_round_trip,
    missing_scripts,
    raise_first_error,
)
from cluster.store.script_calls import Calls
from cluster.store.stall_aware_timeout import stall_aware_timeout

R = TypeVar("R")
T = TypeVar("T")

logger = logging.getLogger(__name__)

MAX_CALLS: Final = 512
"""Scripts in one round trip; further ones go in the next."""

MAX_TRIES: Final = 3
"""Tries of a call whose connection is lost while it waits."""

CLOSE_TIMEOUT_SECONDS: Final = 2.0
"""Longest wait for connections to close."""


class Store(RecordQueries):
    """The store for asyncio code.

    Raises, in every method:
        StoreUnavailable: Redis does not answer within TIMEOUT_SECONDS.
    """

    def __init__(self, settings: Settings) -> None:
        self.calls = Calls(settings)
        self.unavailable_since: float | None = None
        """When Redis stopped answering, seconds since 1970; None while it answers."""
        self._pubsubs: weakref.WeakSet[PubSubConnection] = weakref.WeakSet()
        self._auto_pipeline = AutoPipeline(lambda calls: _with_reconnect(lambda: self._execute(calls)), TIMEOUT_SECONDS)
        self.redis = redis.asyncio.Redis(
            connection_pool=redis.asyncio.BlockingConnectionPool.from_url(
                settings.redis_url,
                max_connections=MAX_CONNECTIONS,
                timeout=TIMEOUT_SECONDS,
                # Longer than each call's own StallAwareTimeout, which allows for a stalled process.
                socket_timeout=2 * TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                # Only `_with_reconnect` retries: redis-py would silently reopen a lost connection.
                retry=Retry(NoBackoff(), 0),
                redis_connect_func=_connect,
            )
        )

    async def run(self, call: Call[R]) -> R:
        """Runs one script, in a round trip shared with other requests."""
        try:
            with measured_round_trip(call.script.name):
                reply = await self._auto_pipeline.run(call)
        except StoreUnavailable as error:
            await self._on_unavailable(error)
            raise
        self.unavailable_since = None
        return call.parse(reply)

    async def run_many(self, calls: Sequence[Call[R]]) -> list[R]:
        """Runs scripts, up to MAX_CALLS in one round trip; each is an atomic step of its own.

        TIMEOUT_SECONDS limits the wait for each reply, not for all: many large replies take time.
        """
        if not calls:
            return []

        async def work(on_reply: Callable[[], None]) -> list[Any]:
            replies = []
            for i in range(0, len(calls), MAX_CALLS):
                replies += await self._execute(calls[i : i + MAX_CALLS], on_reply)
            raise_first_error(replies)
            return replies

        replies = await self._with_timeout("batch", work)
        return [call.parse(reply) for call, reply in zip(calls, replies, strict=True)]

    async def command(self, *parts: Any) -> Any:
        async def work(_: Callable[[], None]) -> Any:
            return await self.redis.execute_command(*parts)  # type: ignore[no-untyped-call]

        return await self._with_timeout("command", work)

    async def commands(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        async def work(on_reply: Callable[[], None]) -> list[Any]:
            replies = await send_pipeline(self.redis.connection_pool, commands, TIMEOUT_SECONDS, on_reply)
            raise_first_error(replies)
            return replies

        return await self._with_timeout("batch", work) if commands else []

    def pubsub(self, channels: list[str], ping_seconds: float) -> PubSubConnection:
        """Returns a subscription with a connection of its own, which ends when it is closed or the server stops being
        the primary."""
        pubsub = PubSubConnection(self.redis.connection_pool, channels, ping_seconds)
        self._pubsubs.add(pubsub)
        return pubsub

    async def close(self) -> None:
        """Closes the connections. Raises nothing: a node that stops has more to close."""
        try:
            # On a half-open connection aclose may wait for ever (redis-py issue 3941).
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self.redis.aclose()
        except (RedisError, OSError, TimeoutError) as error:
            logger.debug("the connections to Redis stay open until the process ends: %s", error)

    async def _on_unavailable(self, error: StoreUnavailable) -> None:
        """Records that Redis does not serve.

        If the server is no longer the primary, closes the connections to it, those of subscriptions too: they would
        lead to the old primary for as long as it lives. New ones resolve the name again.
        """
        if self.unavailable_since is None:
            self.unavailable_since = time.time()
            logger.warning("%s", error)
        if error.__cause__ is not None and is_demoted_primary(error.__cause__):
            await self.redis.connection_pool.disconnect(inuse_connections=False)
            for pubsub in list(self._pubsubs):
                await pubsub.disconnect()

    async def _with_timeout(self, call: str, work: Callable[[Callable[[], None]], Coroutine[Any, Any, T]]) -> T:
        """Runs `work`, and runs it again if its connection was lost: every script may be repeated.

        `work` gets a function to call at each reply: TIMEOUT_SECONDS count from the start and anew from each reply.

        The caller may be cancelled at any moment, but redis-py 8 sometimes swallows a cancellation and carries on.
        So `work` runs in a task of its own, which is left to finish.
        """
        try:
            with measured_round_trip(call):
                async with stall_aware_timeout(TIMEOUT_SECONDS) as timeout:
                    task = asyncio.ensure_future(_with_reconnect(partial(work, timeout.restart)))
                    task.add_done_callback(_retrieve_exception)
                    reply = await asyncio.shield(task)
        except StoreUnavailable as error:
            await self._on_unavailable(error)
            raise
        self.unavailable_since = None
        return reply

    async def _execute(self, calls: Sequence[Call[Any]], on_reply: Callable[[], None] = lambda: None) -> list[Any]:
        """Sends calls in one round trip; the reply to a call that fails is its exception."""
        replies = await self._send(calls, on_reply)
        if missing := missing_scripts(replies):
            await self._load_scripts()
            for i, reply in zip(missing, await self._send([calls[i] for i in missing], on_reply), strict=True):
                replies[i] = reply
        return replies

    async def _send(self, calls: Sequence[Call[Any]], on_reply: Callable[[], None]) -> list[Any]:
        return await send_pipeline(
            self.redis.connection_pool, [call.command for call in calls], TIMEOUT_SECONDS, on_reply
        )

    async def _load_scripts(self) -> None:
        for script in SCRIPTS.values():
            await self.redis.script_load(script.source)


async def _connect(connection: redis.asyncio.Connection) -> None:
    with handshake():
        await connection.on_connect()


async def _with_reconnect(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs `work`, again at once if its connection was dead, as all are after a restart of Redis."""
    for _ in range(MAX_TRIES - 1):
        with suppress(redis.ConnectionError):
            return await work()
    return await work()


def _retrieve_exception(task: asyncio.Future[Any]) -> None:
    """Reads the exception of a task whose caller may be gone, so that asyncio does not report it as never retrieved."""
    if not task.cancelled():
        task.exception()
