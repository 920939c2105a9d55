"""What we use of redis-py's inside has its effect: a release that changes it fails here, not in production."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import ResponseError

from cluster.store import redis_internals
from tests.system import RedisServer

pytestmark = pytest.mark.one_server("about single connections of redis-py, which the client of a cluster has too")

COMMANDS = [("SET", "canary", b"\x00\xff"), ("GET", "canary"), ("INCRBY", "canary", 1), ("PING",)]


@pytest.fixture
async def pool(redis_server: RedisServer) -> AsyncIterator[redis.asyncio.ConnectionPool]:
    pool = redis.asyncio.ConnectionPool.from_url(redis_server.url, client_name="canary", socket_timeout=0.2)
    yield pool
    await pool.aclose()


async def replies(connection: Any, count: int) -> list[Any]:
    found = []
    for _ in range(count):
        try:
            found.append(await redis_internals.receive(connection))
        except ResponseError as error:
            found.append(type(error))
    return found


async def test_a_borrowed_connection_takes_commands_in_one_write_and_replies_in_their_order(
    pool: redis.asyncio.ConnectionPool,
) -> None:
    connection = await redis_internals.borrow(pool)
    await redis_internals.send(connection, COMMANDS)
    assert await replies(connection, 4) == [b"OK", b"\x00\xff", ResponseError, b"PONG"]
    await pool.release(connection)
    assert await redis_internals.borrow(pool) is connection
    await pool.release(connection)


async def test_a_new_connection_is_made_with_all_that_the_pool_is_configured_with(
    pool: redis.asyncio.ConnectionPool,
) -> None:
    connection = redis_internals.new_connection(pool, protocol=2)
    await connection.connect()
    await redis_internals.send(connection, [("CLIENT", "GETNAME"), ("HGETALL", "none")])
    # Under RESP3 the second would be a dict.
    assert await replies(connection, 2) == [b"canary", []]
    await redis_internals.drop(connection)


async def test_a_read_has_no_limit_of_time_but_the_callers(pool: redis.asyncio.ConnectionPool) -> None:
    connection = await redis_internals.borrow(pool)
    await redis_internals.send(connection, [("BLPOP", "nothing comes", 1)])
    began = time.monotonic()
    # Longer than the socket_timeout.
    assert await replies(connection, 1) == [None]
    assert time.monotonic() - began > 0.5
    await pool.release(connection)


async def test_a_dropped_connection_ends_who_reads_from_it_and_connects_again(
    pool: redis.asyncio.ConnectionPool,
) -> None:
    connection = redis_internals.new_connection(pool)
    await connection.connect()
    reading = asyncio.create_task(redis_internals.receive(connection))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await redis_internals.drop(connection)
        with pytest.raises((redis.RedisError, OSError)):
            await reading
    await redis_internals.send(connection, [("PING",)])
    assert await replies(connection, 1) == [b"PONG"]
    await redis_internals.drop(connection)


def test_a_threads_connection_takes_commands_in_one_write(redis_server: RedisServer) -> None:
    pool = redis.ConnectionPool.from_url(redis_server.url, client_name="canary")
    connection = redis_internals.new_connection(pool)
    redis_internals.send_in_thread(connection, [("CLIENT", "GETNAME"), *COMMANDS[:2]])
    assert redis_internals.has_reply_in_thread(connection, 5)
    assert [redis_internals.receive_in_thread(connection) for _ in range(3)] == [b"canary", b"OK", b"\x00\xff"]
    assert not redis_internals.has_reply_in_thread(connection, 0)
    connection.disconnect()
    pool.close()


def test_commands_are_packed_as_redis_reads_them() -> None:
    assert redis_internals.pack([("SET", b"\xff", 7), ("PING",)]) == (
        b"*3\r\n$3\r\nSET\r\n$1\r\n\xff\r\n$1\r\n7\r\n*1\r\n$4\r\nPING\r\n"
    )
