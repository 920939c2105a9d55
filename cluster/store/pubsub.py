"""One pub/sub connection that hears every word of some channels, or says that it went deaf.

redis-py's own PubSub sets a timer, looks up handlers and builds a dict for every message, which under load was more
than half of a delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from cluster.store import redis_internals


class PubSubConnection:
    """Hears channels.

    Args:
        pool: tells how to connect.
        ping_seconds: after so long a silence the link is tried, and after as long again it counts as lost: a half-open
            one would stay silent for ever (redis-py issue 2417).
    """

    def __init__(self, pool: redis.asyncio.ConnectionPool, channels: list[str], ping_seconds: float) -> None:
        # Under RESP2 every answer on a connection that subscribes is an array with its kind first.
        self._connection = redis_internals.new_connection(pool, protocol=2)
        self._channels = channels
        self._ping_seconds = ping_seconds
        self._heard = False
        self._pinging: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Returns when all channels are subscribed: whatever is said from here on is heard.

        Raises:
            RedisError, OSError: there is no connection.
        """
        await self._connection.connect()
        await self._connection.send_command("SUBSCRIBE", *self._channels)
        self._pinging = asyncio.create_task(self._ping())
        for _ in self._channels:
            await self._answer()

    async def messages(self) -> AsyncIterator[tuple[bytes, bytes]]:
        """Channels and what was said there.

        Raises:
            RedisError, OSError: the connection is lost.
        """
        while True:
            answer = await self._answer()
            if answer[0] == b"message":
                yield answer[1], answer[2]

    async def _answer(self) -> Any:
        answer = await redis_internals.receive(self._connection)
        self._heard = True
        return answer

    async def _ping(self) -> None:
        """Ends the connection, and with it whoever reads from it, when nothing comes back."""
        try:
            while True:
                self._heard = False
                await asyncio.sleep(self._ping_seconds)
                if self._heard:
                    continue
                await self._connection.send_command("PING")
                await asyncio.sleep(self._ping_seconds)
                if not self._heard:
                    break
        except (RedisError, OSError):
            pass
        await self.disconnect()

    async def disconnect(self) -> None:
        """Ends the connection; whoever reads from it hears of a lost one."""
        with suppress(RedisError, OSError):
            await redis_internals.drop(self._connection)

    async def close(self) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.gather(self._pinging, return_exceptions=True)
        await self.disconnect()
