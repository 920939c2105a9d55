"""The client of the store for asyncio code: api nodes, scheduler, controller and the nanny of a worker."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import redis.asyncio
from redis.exceptions import RedisError

from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.lua_scripts import Call
from cluster.store.pubsub import Subscription
from cluster.store.record_queries import RecordQueries
from cluster.store.refusals import is_demoted_primary
from cluster.store.round_trip import TIMEOUT_SECONDS, measured_round_trip, raise_first_error
from cluster.store.script_calls import Calls
from cluster.store.servers import Servers
from cluster.store.stall_aware_timeout import stall_aware_timeout

R = TypeVar("R")
T = TypeVar("T")

logger = logging.getLogger(__name__)

MAX_CALLS: Final = 512
"""Scripts in one round trip; further ones go in the next."""

CLOSE_TIMEOUT_SECONDS: Final = 2.0
"""Longest wait for connections to close."""


class Store(RecordQueries):
    """The store for asyncio code.

    Raises, in every method:
        StoreUnavailable: Redis does not answer within TIMEOUT_SECONDS.
    """

    def __init__(self, settings: Settings) -> None:
        self.calls = Calls(settings)
        self._servers = Servers(settings.redis_url, self._disconnect_subscriptions)
        self._warned = False
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._disconnecting: set[asyncio.Task[None]] = set()

    @property
    def redis(self) -> redis.asyncio.Redis:
        """A plain client of the server that the settings name."""
        return redis.asyncio.Redis(connection_pool=self._servers.seed.pool)

    @property
    def unavailable_since(self) -> float | None:
        """When Redis, or the first of the primaries of a cluster, stopped answering, seconds since 1970; None while all
        answer."""
        return min(self._servers.failing.values(), default=None)

    async def run(self, call: Call[R]) -> R:
        """Runs one script, in a round trip shared with other requests."""
        try:
            with measured_round_trip(call.script.name):
                reply = await self._servers.run(call)
        except StoreUnavailable as error:
            await self._on_unavailable(error)
            raise
        self._on_answer()
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
                commands = [call.command for call in calls[i : i + MAX_CALLS]]
                replies += await self._servers.send(commands, on_reply)
            raise_first_error(replies)
            return replies

        replies = await self._with_timeout("batch", work)
        return [call.parse(reply) for call, reply in zip(calls, replies, strict=True)]

    async def command(self, *parts: Any) -> Any:
        [reply] = await self._send("command", [parts])
        return reply

    async def commands(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        return await self._send("batch", commands) if commands else []

    async def ask_primaries(self, *parts: Any) -> list[Any]:
        async def work(_: Callable[[], None]) -> list[Any]:
            return await asyncio.gather(*(server.ask(*parts) for server in await self._servers.primaries()))

        return await self._with_timeout("command", work)

    def pubsub(self, channels: list[str], ping_seconds: float) -> Subscription:
        """Returns a subscription with connections of its own, which ends when it is closed, one of them is lost, or a
        server stops being a primary."""
        subscription = Subscription(self._servers.primaries, channels, ping_seconds)
        self._subscriptions.add(subscription)
        return subscription

    async def close(self) -> None:
        """Closes the connections. Raises nothing: a node that stops has more to close."""
        try:
            # On a half-open connection aclose may wait for ever (redis-py issue 3941).
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self._servers.close()
        except (RedisError, OSError, TimeoutError) as error:
            logger.debug("the connections to Redis stay open until the process ends: %s", error)

    def _on_answer(self) -> None:
        if self._warned and not self._servers.failing:
            self._warned = False

    async def _on_unavailable(self, error: StoreUnavailable) -> None:
        """Records that Redis does not serve.

        If the server is no longer the primary, closes the connections to it, those of subscriptions too: they would
        lead to the old primary for as long as it lives. New ones resolve the name again.
        """
        if not self._warned:
            self._warned = True
            logger.warning("%s", error)
        if error.__cause__ is not None and is_demoted_primary(error.__cause__):
            await self._servers.drop_idle()
            for subscription in list(self._subscriptions):
                await subscription.disconnect()

    def _disconnect_subscriptions(self) -> None:
        """The cluster has other primaries: what the lost one has published may be lost too."""
        for subscription in list(self._subscriptions):
            task = asyncio.create_task(subscription.disconnect())
            self._disconnecting.add(task)
            task.add_done_callback(self._disconnecting.discard)

    async def _send(self, label: str, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        async def work(on_reply: Callable[[], None]) -> list[Any]:
            replies = await self._servers.send(commands, on_reply)
            raise_first_error(replies)
            return replies

        return await self._with_timeout(label, work)

    async def _with_timeout(self, call: str, work: Callable[[Callable[[], None]], Coroutine[Any, Any, T]]) -> T:
        """Runs `work`, which gets a function to call at each reply: TIMEOUT_SECONDS count from the start and anew from
        each reply.

        The caller may be cancelled at any moment, but redis-py 8 sometimes swallows a cancellation and carries on.
        So `work` runs in a task of its own, which is left to finish.
        """
        try:
            with measured_round_trip(call):
                async with stall_aware_timeout(TIMEOUT_SECONDS) as timeout:
                    task = asyncio.ensure_future(work(timeout.restart))
                    task.add_done_callback(_retrieve_exception)
                    reply = await asyncio.shield(task)
        except StoreUnavailable as error:
            await self._on_unavailable(error)
            raise
        self._on_answer()
        return reply


def _retrieve_exception(task: asyncio.Future[Any]) -> None:
    """Reads the exception of a task whose caller may be gone, so that asyncio does not report it as never retrieved."""
    if not task.cancelled():
        task.exception()
