"""One Redis server, as asyncio code calls it: its connections, and the calls that share round trips to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from cluster.store.auto_pipeline import AutoPipeline
from cluster.store.lua_scripts import SCRIPTS, Call
from cluster.store.raw_pipeline import send_pipeline
from cluster.store.redirects import ASK_SECONDS, ASKING
from cluster.store.redis_internals import Command
from cluster.store.round_trip import MAX_CONNECTIONS, TIMEOUT_SECONDS, handshake, missing_scripts, raise_first_error
from cluster.store.slots import Address

T = TypeVar("T")

MAX_TRIES: Final = 3
"""Tries of a call whose connection is lost while it waits."""


class Server:
    """One Redis server.

    Args:
        url: REDIS_URL with the address of this server.
    """

    def __init__(self, url: str, address: Address) -> None:
        self.address = address
        self.pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=TIMEOUT_SECONDS,
            # Longer than each call's own StallAwareTimeout, which allows for a stalled process.
            socket_timeout=2 * TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # Only `_with_reconnect` retries: redis-py would silently reopen a lost connection.
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=_connect,
        )
        self._loading, self._loads = asyncio.Lock(), 0
        self._auto_pipeline = AutoPipeline(lambda calls: self.send([call.command for call in calls]), TIMEOUT_SECONDS)

    async def run(self, call: Call[Any]) -> Any:
        """Returns the reply to one script, in a round trip shared with other calls."""
        return await self._auto_pipeline.run(call)

    async def send(
        self, commands: Sequence[Command], on_reply: Callable[[], None] = lambda: None, *, asking: bool = False
    ) -> list[Any]:
        """Sends commands in one round trip, again if the connection was lost: every script may be repeated. The reply
        to a command that fails is its exception.

        Args:
            on_reply: called after each reply.
            asking: the server is to execute them although their slot is still being moved to it.

        Raises:
            RedisError, OSError: the server does not answer.
        """
        return await _with_reconnect(lambda: self._execute(commands, on_reply, asking))

    async def ask(self, *command: Any) -> Any:
        """Returns the reply to a question about the cluster, within ASK_SECONDS once the server is connected.

        Raises:
            RedisError, OSError: the server does not answer, or refuses.
        """
        [reply] = await _with_reconnect(lambda: send_pipeline(self.pool, [command], ASK_SECONDS))
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def _execute(self, commands: Sequence[Command], on_reply: Callable[[], None], asking: bool) -> list[Any]:
        loads = self._loads
        replies = await self._exchange(commands, on_reply, asking)
        if missing := missing_scripts(replies):
            await self._load_scripts(loads)
            again = await self._exchange([commands[i] for i in missing], on_reply, asking)
            for i, reply in zip(missing, again, strict=True):
                replies[i] = reply
        return replies

    async def _load_scripts(self, loads: int) -> None:
        """Loads all scripts, unless that was done since there were so many loads: calls that miss one come together."""
        async with self._loading:
            if self._loads == loads:
                sources = [("SCRIPT", "LOAD", script.source) for script in SCRIPTS.values()]
                raise_first_error(await send_pipeline(self.pool, sources, TIMEOUT_SECONDS))
                self._loads += 1

    async def _exchange(self, commands: Sequence[Command], on_reply: Callable[[], None], asking: bool) -> list[Any]:
        if not asking:
            return await send_pipeline(self.pool, commands, TIMEOUT_SECONDS, on_reply)
        pairs = [part for command in commands for part in (ASKING, command)]
        return (await send_pipeline(self.pool, pairs, TIMEOUT_SECONDS, on_reply))[1::2]


async def _connect(connection: redis.asyncio.Connection) -> None:
    with handshake():
        await connection.on_connect()


async def _with_reconnect(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs `work`, again at once if its connection was dead, as all are after a restart of Redis."""
    for _ in range(MAX_TRIES - 1):
        with suppress(redis.ConnectionError):
            return await work()
    return await work()
