"""Every private or undocumented interface of redis-py and hiredis that we use, each with why, and how it would break.
`tests/cluster/store/test_redis_internals.py` checks that each still has its effect.

redis-py's pipelines and PubSub spend a connection, a retry, a timer, a lock and a lookup of handlers on what is one
write and some reads; a busy node spent more time in them than Redis on the commands. So this module writes to and reads
from redis-py's connections directly. They have everything that the pool is configured with (TLS, credentials, timeouts,
the first commands), but not what redis-py adds in its clients and pools: client-side caching, and, on connections
outside the pool, maintenance notifications.

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
    """Makes a connection like those of the pool, but outside it: for a subscription, or a thread that keeps it.

    `pool.connection_class` and `pool.connection_kwargs` are undocumented. Renamed, this raises AttributeError at the
    first call to Redis. An option that redis-py passed in another way would be missing on these connections only.

    Args:
        changes: arguments of the connection that replace the pool's.
    """
    return pool.connection_class(**{**pool.connection_kwargs, **changes})


async def borrow(pool: redis.asyncio.ConnectionPool) -> Any:
    """Takes a connected connection out of the pool; `pool.release` returns it.

    `get_connection` is public, but redis-py documents it only for its own clients. Renamed, this raises
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
    """Writes commands to an asyncio connection in one write; `receive` reads their replies one by one.

    It does not wait until they are on their way: Redis answers the first of many long commands while the last are still
    being sent, and who waited for the sending would count none of those replies. A connection that is lost meanwhile
    ends `receive`.

    `_writer` is private; `send_packed_command` waits for the sending. Renamed, this raises AttributeError at the first
    call to Redis.
    """
    if not connection.is_connected:
        await connection.connect()
    connection._writer.write(pack(commands))


async def receive(connection: Any) -> Any:
    """Reads one reply from an asyncio connection, without a timeout: the caller has one for all replies.

    `read_response` is undocumented, and so is `math.inf` for no timeout; the next major version of redis-py is to use
    None. There `math.inf` may set a timer for each reply, which costs time and never fires.

    Raises:
        ResponseError: Redis refused the command.
        RedisError, OSError: the connection is lost.
    """
    return await connection.read_response(timeout=math.inf)


async def drop(connection: Any) -> None:
    """Closes an asyncio connection at once, without waiting for the other side. It can connect again.

    `nowait` is undocumented. Without it, closing a connection to a lost server could take as long as TCP's timeouts.
    """
    await connection.disconnect(nowait=True)


def send_in_thread(connection: Any, commands: Sequence[Command]) -> None:
    """As `send`, for a blocking connection; it connects first if it must."""
    connection.send_packed_command([pack(commands)])


def receive_in_thread(connection: Any) -> Any:
    """As `receive`, for a blocking connection, within its `socket_timeout`."""
    return connection.read_response()


def has_reply_in_thread(connection: Any, seconds: float) -> bool:
    """Whether a blocking connection has something to read within so many seconds; `receive_in_thread` then reads it.

    `can_read` is undocumented; redis-py's own PubSub uses it. Renamed, this raises AttributeError when a task first
    waits for children.

    Raises:
        RedisError, OSError: the connection is lost.
    """
    return bool(connection.can_read(timeout=seconds))
