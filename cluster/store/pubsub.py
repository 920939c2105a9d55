"""A subscription, which delivers every message of its channels or fails.

redis-py's own PubSub sets a timer, looks up handlers and builds a dict for each message; under load that was more than
half of the cost of a delivery.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import RedisError, ResponseError

from cluster.store import redis_internals
from cluster.store.server import Server


def refuse_replica(role: Any) -> None:
    """Looks at the reply to ROLE, as a name may lead to a former primary for some seconds.

    What is published at the new one arrives there only by replication: once that ends, the connection would be silent
    and seem healthy, and its owner would learn of ends only when it watches its tasks again.

    Raises:
        redis.ConnectionError: the server is a replica.
    """
    if isinstance(role, list) and role[:1] == [b"slave"]:
        raise redis.ConnectionError("the server is a replica, and no primary any more")


class Subscription:
    """A subscription to channels of a Redis, or of a cluster.

    In a cluster, whichever primary publishes, every server passes the message on to its own subscribers: one
    connection receives all of them. But what a primary has published just before it died, or lost its links to the
    others, may not get that far, and nobody there is told. So the subscription has a connection to every primary, and
    ends with the first of them that is lost.

    Args:
        primaries: returns the servers to connect to.
        ping_seconds: as for PubSubConnection.
    """

    def __init__(
        self, primaries: Callable[[], Awaitable[Sequence[Server]]], channels: list[str], ping_seconds: float
    ) -> None:
        self._primaries = primaries
        self._channels = channels
        self._ping_seconds = ping_seconds
        self._connections: list[PubSubConnection] = []
        self._guards: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Returns once all channels are subscribed: no message that is published after that is missed.

        Raises:
            RedisError, OSError: a connection failed.
        """
        servers = list(await self._primaries())
        # The nodes of a system spread over the servers.
        random.shuffle(servers)
        self._connections = [
            PubSubConnection(server.pool, [] if i else self._channels, self._ping_seconds)
            for i, server in enumerate(servers)
        ]
        await asyncio.gather(*(connection.open() for connection in self._connections))
        self._guards = [asyncio.create_task(self._guard(connection)) for connection in self._connections[1:]]

    async def messages(self) -> AsyncIterator[tuple[bytes, bytes]]:
        """Yields the messages, as (channel, payload).

        Raises:
            RedisError, OSError: a connection is lost.
        """
        async for message in self._connections[0].messages():
            yield message

    async def disconnect(self) -> None:
        """Closes the connections; a reader gets the error of a lost one."""
        for connection in self._connections:
            await connection.disconnect()

    async def close(self) -> None:
        for guard in self._guards:
            guard.cancel()
        await asyncio.gather(*self._guards, return_exceptions=True)
        for connection in self._connections:
            await connection.close()

    async def _guard(self, connection: PubSubConnection) -> None:
        """Ends the subscription with this connection."""
        with suppress(RedisError, OSError):
            async for _ in connection.messages():
                pass
        await self._connections[0].disconnect()


class PubSubConnection:
    """One connection, which is subscribed to channels.

    Args:
        pool: where to connect to.
        channels: none if only the end of the connection matters.
        ping_seconds: ping interval on an idle connection. If the reply takes as long again, the connection is lost: a
            half-open one would stay silent for ever (redis-py issue 2417).
    """

    def __init__(self, pool: redis.asyncio.ConnectionPool, channels: list[str], ping_seconds: float) -> None:
        # Under RESP2, every reply on a subscribed connection is an array that starts with its kind.
        self._connection = redis_internals.new_connection(pool, protocol=2)
        self._channels = channels
        self._ping_seconds = ping_seconds
        self._received = False
        self._pinger: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Returns once all channels are subscribed: no message that is published after that is missed.

        Raises:
            RedisError, OSError: the connection failed, or leads to a replica.
        """
        await self._connection.connect()
        await self._connection.send_command("ROLE")
        if self._channels:
            await self._connection.send_command("SUBSCRIBE", *self._channels)
        self._pinger = asyncio.create_task(self._ping())
        await self._check_role()
        for _ in self._channels:
            await self._read()

    async def messages(self) -> AsyncIterator[tuple[bytes, bytes]]:
        """Yields the messages, as (channel, payload).

        Raises:
            RedisError, OSError: the connection is lost.
        """
        while True:
            reply = await self._read()
            if reply[0] == b"message":
                yield reply[1], reply[2]

    async def disconnect(self) -> None:
        """Closes the connection; a reader gets the error of a lost one."""
        with suppress(RedisError, OSError):
            await redis_internals.drop(self._connection)

    async def close(self) -> None:
        if self._pinger is not None:
            self._pinger.cancel()
            await asyncio.gather(self._pinger, return_exceptions=True)
        await self.disconnect()

    async def _check_role(self) -> None:
        with suppress(ResponseError):  # a proxy, or a list of permissions, without ROLE
            refuse_replica(await self._read())

    async def _read(self) -> Any:
        reply = await redis_internals.receive(self._connection)
        self._received = True
        return reply

    async def _ping(self) -> None:
        """Disconnects, which ends the reader, when a ping gets no reply."""
        try:
            while True:
                self._received = False
                await asyncio.sleep(self._ping_seconds)
                if self._received:
                    continue
                await self._connection.send_command("PING")
                await asyncio.sleep(self._ping_seconds)
                if not self._received:
                    break
        except (RedisError, OSError):
            pass
        await self.disconnect()
