"""Every private or undocumented interface of redis-py and hiredis that we use, each with why, and how it would break.
`tests/cluster/store/test_redis_internals.py` shows that each still has its effect.

redis-py's own pipelines and PubSub take a connection, a retry, a timer, a lock and a lookup of handlers for what is one
write and some reads; with them a busy node spends more time there than Redis does with the commands. So the connections
that redis-py makes are written to and read from here. They are made with everything that the pool is configured with
(TLS, credentials, timeouts, the first commands). What redis-py hooks into its clients and pools instead is not there:
client-side caching, and maintenance notifications on connections that do not come from the pool.

Written against redis-py 8.1 and hiredis 3.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import hiredis
import redis
import redis.asyncio

Command: TypeAlias = tuple[Any, ...]
"""A command's name and its arguments: bytes, str, int or float."""

Pool: TypeAlias = redis.ConnectionPool | redis.asyncio.ConnectionPool


def new_connection(pool: Pool, **changes: Any) -> Any:
    """Makes a connection as the pool would, which the pool does not know: for a reader or a thread of its own.

    `pool.connection_class` and `pool.connection_kwargs` are undocumented. Renamed, this raises AttributeError at the
    first call to Redis. An option that redis-py passes in another way would be missing on these connections alone.

    Args:
        changes: arguments of the connection that replace the pool's.
    """
    return pool.connection_class(**{**pool.connection_kwargs, **changes})


async def borrow(pool: redis.asyncio.ConnectionPool) -> Any:
    """Takes a connected connection out of the pool; `pool.release` gives it back.

    `get_connection` is public, but redis-py documents it for its own clients alone. Renamed, this raises
    AttributeError at the first call to Redis.
    """
    return await pool.get_connection()  # type: ignore[no-untyped-call]


def pack(commands: Sequence[Command]) -> bytes:
    """Returns the bytes of commands, for one write.

    `hiredis.pack_command` is undocumented; redis-py uses it. It takes bytes, str, int and float. Renamed, this raises
    AttributeError at the first call to Redis.
    """
    return b"".join(map(hiredis.pack_command, commands))


async def send(connection: Any, commands: Sequence[Command]) -> None:
    """Writes commands to an asyncio connection at once, whose replies `receive` reads one by one.

    `send_packed_command` is undocumented. Renamed, this raises AttributeError at the first call to Redis.
    """
    await connection.send_packed_command(pack(commands))


async def receive(connection: Any) -> Any:
    """Reads one reply from an asyncio connection, with no limit of time: the caller has one around all of them.

    `read_response` is undocumented, and so is `math.inf` for no limit; redis-py plans to write None for it in its next
    major version. There `math.inf` may set a timer for each reply, which costs time and ends nothing.

    Raises:
        ResponseError: Redis refused the command.
        RedisError, OSError: the connection is lost.
    """
    return await connection.read_response(timeout=math.inf)


async def drop(connection: Any) -> None:
    """Closes an asyncio connection at once, without waiting for the other side. It may be connected again.

    `nowait` is undocumented. Without it, closing a connection whose server is gone could wait for as long as TCP does.
    """
    await connection.disconnect(nowait=True)


def send_in_thread(connection: Any, commands: Sequence[Command]) -> None:
    """As `send`, for a blocking connection; it connects first if it must."""
    connection.send_packed_command([pack(commands)])


def receive_in_thread(connection: Any) -> Any:
    """As `receive`, for a blocking connection, within its `socket_timeout`."""
    return connection.read_response()
